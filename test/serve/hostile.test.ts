import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { receiveUpload } from '../../src/serve/receive.js';
import type { Refusal } from '../../src/serve/refusal.js';
import { openScratch } from '../../src/serve/scratch.js';
import { ctSlice, dicomBytes, PLANTED } from '../data/scan/dicom/writer.js';
import { concat, niftiHeader } from '../data/scan/samples.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeThresholds } from '../inference/models.js';
import { mountDisk } from '../small-disk.js';
import { fileBytes, jsonOf, serve, soon, type TestService, testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const MAX_BODY = 4 << 20;

let service: TestService;
let good: Uint8Array;
let expected: unknown;
beforeAll(async () => {
  writeThresholds(at('masks.onnx'));
  await writeNifti(at('good.nii.gz'), noiseVolume([20, 18, 12], 1));
  good = fileBytes(at('good.nii.gz'));
  service = await testService({ models: [at('masks.onnx')], maxBodyBytes: MAX_BODY });
  expected = await jsonOf(await service.post('/v1/segment', good));
});

/** Whatever happened before: others are served, by the same worker, and nothing is left. */
afterEach(async () => {
  expect(await jsonOf(await service.post('/v1/segment', good))).toEqual(expected);
  expect(service.logs.filter(({ event }) => event === 'worker-died')).toEqual([]);
  await soon(() => service.leftBehind().length === 0);
});

/** What a client may not be told. */
const INSIDE = /\bat .*\.(ts|js):\d|node:internal|\/tmp\/|(request|work)-\w{6}\b/;

async function refused(body: Uint8Array, status = 422): Promise<string> {
  const response = await service.post('/v1/segment', body);
  const text = await response.text();
  expect([response.status, text]).toEqual([status, expect.not.stringMatching(INSIDE)]);
  return JSON.parse(text).title;
}

/** Sends bytes as they are. @returns all that comes back until the connection is closed */
function sendRaw(text: string | readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const { port, hostname } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    let got = '';
    socket.on('data', (bytes) => {
      got += bytes.toString('latin1');
    });
    socket.on('close', () => resolve(got));
    socket.on('error', reject);
    for (const part of [text].flat()) socket.write(part);
  });
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

describe('archives', () => {
  const slice = new Uint8Array(dicomBytes(ctSlice(0)));

  test('with 10,000 entries are refused', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => [`slice${i}`, new Uint8Array(1)]);
    expect(await refused(zipSync(Object.fromEntries(names)))).toMatch(/too many files/);
  });

  test('that unpack to too much are refused', async () => {
    const bomb = zipSync({ 'a.dcm': new Uint8Array(MAX_BODY + 1) });
    expect(bomb.length).toBeLessThan(MAX_BODY / 100);
    expect(await refused(bomb)).toMatch(/too many bytes/);
  });

  test('that lie about it are refused', async () => {
    const bomb = Buffer.from(zipSync({ 'a.dcm': new Uint8Array(MAX_BODY + 1) }));
    // The size in the central directory, which follows its signature by 24 bytes.
    bomb.writeUInt32LE(100, bomb.indexOf('PK\x01\x02', 0, 'latin1') + 24);
    expect(await refused(bomb)).toMatch(/cannot be unpacked/);
  });

  test.each(['../../escaped.dcm', '/tmp/escaped.dcm', 'C:\\escaped.dcm', 'a/../../escaped.dcm'])(
    'with a file called %s are refused',
    async (name) => {
      expect(await refused(zipSync({ [name]: slice }))).toMatch(/cannot be unpacked/);
    },
  );

  test('that hold no scan, or nothing, are refused', async () => {
    await refused(zipSync({}));
    await refused(zipSync({ 'a.txt': new TextEncoder().encode('hello') }));
    await refused(zipSync({ 'inner.zip': zipSync({ 'a.dcm': slice }) }));
  });

  test('that are cut off are refused', async () => {
    const zip = zipSync({ 'a.dcm': slice, 'b.dcm': new Uint8Array(dicomBytes(ctSlice(1))) });
    for (const length of [4, 100, zip.length - 10]) await refused(zip.slice(0, length));
  });
});

describe('headers and voxels', () => {
  test('a gzip bomb is not inflated far beyond what its header says', async () => {
    const bomb = gzipSync(concat(niftiHeader({ dim: [3, 4, 4, 4] } as never), new Uint8Array(64 << 20)));
    expect(bomb.length).toBeLessThan(MAX_BODY);
    // Who inflates all of it finds that its end is damaged.
    bomb.fill(0xff, bomb.length >> 1);
    expect((await service.post('/v1/segment', bomb)).status).toBe(200);
  });

  test('a scan that unpacks to more than an upload may have is refused', async () => {
    // 4 MiB of voxels, and the header before them.
    const voxels = new Uint8Array(MAX_BODY);
    const nifti = gzipSync(concat(niftiHeader({ dim: [3, 128, 128, 128] } as never), voxels));
    expect(nifti.length).toBeLessThan(MAX_BODY / 100);
    expect(await refused(nifti)).toMatch(/unpacks to too many bytes/);
    const text = (more: string) =>
      new TextEncoder().encode(
        `NRRD0004\ntype: short\nendian: little\ndimension: 3\nencoding: gzip\n${more}\n\n`,
      );
    const data = gzipSync(new Uint8Array(2 * 128 * 128 * 129));
    expect(await refused(concat(text('sizes: 128 128 129'), data))).toMatch(/unpacks to too many bytes/);
    const hidden = concat(text(`sizes: 8 8 8\nbyte skip: ${MAX_BODY}`), gzipSync(new Uint8Array(5 << 20)));
    expect(await refused(hidden)).toMatch(/unpacks to too many bytes/);
    const parts = { 'a.nhdr': text('sizes: 128 128 129\ndata file: a.gz'), 'a.gz': data };
    expect(await refused(zipSync(parts))).toMatch(/unpacks to too many bytes/);
  });

  test('a header that promises terabytes is refused', async () => {
    const nrrd = 'NRRD0004\ntype: short\ndimension: 3\nsizes: 100000 100000 100000\nencoding: raw\n\n';
    expect(await refused(new TextEncoder().encode(nrrd))).toMatch(/size/);
    const many = 'NRRD0004\ntype: short\ndimension: 3\nsizes: 1000 1000 1000\nencoding: gzip\n\n';
    await refused(concat(new TextEncoder().encode(many), gzipSync(new Uint8Array(1 << 21))));
    const npy = `\x93NUMPY\x01\x00v\x00${"{'descr': '<i2', 'fortran_order': False, 'shape': (99999, 99999, 99999), }".padEnd(117)}\n`;
    await refused(new Uint8Array(Buffer.from(npy, 'latin1')));
  });

  test.each(['/etc/passwd', '../../../../etc/passwd', '../good.nii.gz'])(
    'a header does not make the service read %s',
    async (name) => {
      const size = readFileSync('/etc/passwd').length;
      const mha = `ObjectType = Image\nNDims = 3\nDimSize = ${size} 1 1\nElementType = MET_UCHAR\nElementDataFile = ${name}\n`;
      await refused(new TextEncoder().encode(mha));
      await refused(zipSync({ 'a.mhd': new TextEncoder().encode(mha), passwd: new Uint8Array(1) }));
      const nrrd = `NRRD0004\ntype: uchar\ndimension: 3\nsizes: ${size} 1 1\nencoding: raw\ndata file: ${name}\n\n`;
      await refused(new TextEncoder().encode(nrrd));
    },
  );

  test.each([
    [7, 422],
    [700, 200],
  ])('NaN and infinity every %i voxels: %i', async (every, status) => {
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const voxels = Float32Array.from({ length: 20 * 18 * 12 }, (_, i) =>
      i % every < every / 2 && status === 422
        ? bad[i % 3]!
        : i % every === 0
          ? bad[(i / every) % 3]!
          : i % 300,
    );
    await writeNifti(at('nan.nii'), { ...noiseVolume([20, 18, 12], 1), voxels });
    const response = await service.post('/v1/segment', fileBytes(at('nan.nii')));
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('null');
  });

  test('DICOM sequences in sequences do not exhaust the stack', async () => {
    const plain = dicomBytes(ctSlice(0));
    const pixels = plain.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00]));
    const sequence = [0x40, 0x00, 0x30, 0xa7, 0x53, 0x51, 0, 0, 255, 255, 255, 255];
    const item = [0xfe, 0xff, 0x00, 0xe0, 255, 255, 255, 255];
    const nested = Buffer.concat(new Array(50_000).fill(Buffer.from([...sequence, ...item])));
    await refused(concat(plain.subarray(0, pixels), nested, plain.subarray(pixels)));
  });

  test('noise behind every beginning is refused', async () => {
    const noise = new Uint8Array(noiseVolume([50, 50, 20], 7).voxels.buffer.slice(0, 100_000));
    const beginnings = [
      'PK\x03\x04',
      '\x1f\x8b\x08',
      '\x93NUMPY\x01\x00',
      'NRRD0005\n',
      'NDims = 3\n',
      '\x5c\x01\x00\x00',
    ];
    for (const text of beginnings) await refused(concat(new Uint8Array(Buffer.from(text, 'latin1')), noise));
  });
});

describe('bodies', () => {
  test('that are too large are refused, whether they say so or not', async () => {
    const huge = new Uint8Array(MAX_BODY + 1);
    expect((await service.post('/v1/segment', huge)).status).toBe(413);
    const chunks = [
      'POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
    ];
    for (let i = 0; i < 5; i++) chunks.push(`100000\r\n${'x'.repeat(1 << 20)}\r\n`);
    expect(statusOf(await sendRaw(chunks))).toBe(413);
    const promised = 'POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n';
    expect(statusOf(await sendRaw(promised))).toBe(413);
  });

  test('that stop halfway leave nothing', async () => {
    const { port, hostname } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    socket.write('POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n');
    socket.write('x'.repeat(1000));
    await soon(() => service.leftBehind().length > 0);
    socket.destroy();
    await soon(() => service.logs.some(({ status }) => status === 499));
  });

  test('that come too slowly are refused', async () => {
    const scratch = openScratch(MAX_BODY, at('scratch'));
    const request = await scratch.newRequest();
    let timer: NodeJS.Timeout;
    const dripping = new ReadableStream<Uint8Array>({
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(new Uint8Array(1)), 10);
      },
      cancel: () => clearInterval(timer),
    });
    const limits = { maxBodyBytes: MAX_BODY, graceSeconds: 0.2, leastBytesPerSecond: 1000 };
    const late = await receiveUpload(
      { body: dripping, signal: new AbortController().signal },
      request,
      limits,
    ).catch((error: Refusal) => error.status);
    expect(late).toBe(408);
    await request.remove();
    expect(scratch.bytes).toBe(0);
    scratch.close();
  });

  test('that would fill the scratch folder are refused', async () => {
    const scratch = openScratch(100, at('scratch'));
    const [one, other] = [await scratch.newRequest(), await scratch.newRequest()];
    one.take(60);
    expect(() => other.take(60)).toThrow(/too many uploads/);
    other.take(40);
    // An answer that is fetched slowly is no upload any more.
    await one.removeUpload();
    other.take(60);
    expect(scratch.bytes).toBe(100);
    scratch.close();
  });
});

test('a scratch folder without room is said to be full', async (context) => {
  const disk = at('disk');
  mountDisk(context, disk, 'size=1m');
  const models = [at('masks.onnx')];
  const log = () => {};
  const small = await serve({ models, port: 0, workers: 1, scratch: disk, maxBodyBytes: MAX_BODY, log });
  const post = (body: Uint8Array) =>
    fetch(`${small.url}/v1/segment`, { method: 'POST', body: body as Uint8Array<ArrayBuffer> });
  for (const body of [new Uint8Array(2 << 20), zipSync({ 'a.dcm': new Uint8Array(2 << 20) })]) {
    const response = await post(body);
    expect(response.status).toBe(507);
    expect(await response.text()).not.toMatch(INSIDE);
  }
  expect((await post(good)).status).toBe(200);
  await small.close();
});

describe('requests', () => {
  test.each([
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked'],
    ['chunks that are none', 'Transfer-Encoding: xchunked'],
    ['a length that is none', 'Content-Length: 5x'],
    ['a header without a name', ': value'],
    ['a line that folds', 'X-A: 1\r\n  folded: 2\r\nTransfer-Encoding : chunked'],
  ])('with %s are refused, and nothing behind them is answered', async (_, headers) => {
    const smuggled = 'GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const answer = await sendRaw(
      `POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n\r\n0\r\n\r\n${smuggled}`,
    );
    expect(statusOf(answer)).toBe(400);
    expect(answer).not.toContain('"models"');
  });

  test('with headers of megabytes are refused', async () => {
    const answer = await sendRaw(
      `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ${'a'.repeat(1 << 20)}\r\n\r\n`,
    ).catch(() => 'reset');
    expect(answer === 'reset' || statusOf(answer) === 431).toBe(true);
  });

  test('under a foreign name are refused where there is no token', async () => {
    const answer = await sendRaw(
      'GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
    );
    expect(statusOf(answer)).toBe(403);
  });

  test('of web pages of others are refused where there is no token', async () => {
    const headers = { 'Sec-Fetch-Site': 'cross-site', 'Content-Type': 'text/plain' };
    expect((await service.post('/v1/segment', good, headers)).status).toBe(403);
  });

  test.each([
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/v1/models/%00',
    '/v2/models/%E0%A4%A/infer',
    '//evil.example/',
    '/v1/embed?%',
  ])('for %s find nothing', async (path) => {
    const answer = await sendRaw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    expect([400, 404]).toContain(statusOf(answer));
    expect(answer).not.toMatch(INSIDE);
  });
});

describe('connections', () => {
  test('a thousand that are idle hold nobody up', async () => {
    const { port, hostname } = new URL(service.url);
    const sockets = Array.from({ length: 1000 }, () => connect(Number(port), hostname).on('error', () => {}));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    for (const socket of sockets.slice(0, 500)) socket.write('POST /v1/segment HTTP/1.1\r\nHost: x');
    expect(await jsonOf(await service.post('/v1/segment', good))).toEqual(expected);
    for (const socket of sockets) socket.destroy();
  });

  test('200 requests at once are answered or refused', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => (await service.post('/v1/segment', good)).status),
    );
    const count = (status: number) => statuses.filter((other) => other === status).length;
    expect(count(200) + count(429)).toBe(200);
    expect(count(200)).toBeGreaterThanOrEqual(64);
  });
});

test('no log names a patient', () => {
  const logs = JSON.stringify(service.logs);
  expect(logs).toContain('cannot be unpacked');
  for (const secret of PLANTED) expect(logs).not.toContain(secret);
});
