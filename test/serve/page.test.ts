/** The files of the page, and who may have them. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { orientLPS } from '../../src/data/scan/geometry.js';
import { readVolume } from '../../src/data/scan/index.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeThresholds } from '../inference/models.js';
import { bytesOf, fileBytes, jsonOf, soon, type TestService, testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const TOKEN = 'a-token-of-32-characters-or-more';
const bearer = { Authorization: `Bearer ${TOKEN}` };

let service: TestService;
beforeAll(async () => {
  writeThresholds(at('masks.onnx'));
  writeFileSync(at('token'), TOKEN);
  service = await testService({ models: [at('masks.onnx')], tokenFile: at('token') });
});
const get = (path: string, headers: Record<string, string> = {}) => fetch(service.url + path, { headers });

/** The status of a path as it is, which `fetch` would resolve. */
const statusOf = (path: string) =>
  new Promise<number>((resolve, reject) => {
    const sent = request(service.url, { path }, (response) => resolve(response.resume().statusCode!));
    sent.on('error', reject).end();
  });

describe('the page', () => {
  test('is there without a token, and lets nothing in from elsewhere', async () => {
    const response = await get('/');
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('<title>Parts2Whole</title>');
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:|\*/);
    expect(response.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
  });

  test('gives its own files away, and no others', async () => {
    for (const [name, type] of [
      ['main.js', 'text/javascript'],
      ['scan.worker.js', 'text/javascript'],
      ['style.css', 'text/css'],
      ['ort.wasm.bundle.min.mjs', 'text/javascript'],
      ['ort-wasm-simd-threaded.wasm', 'application/wasm'],
    ] as const) {
      const response = await get(`/assets/${name}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toContain(type);
      expect((await bytesOf(response)).length).toBe(Number(response.headers.get('content-length')));
      const again = await get(`/assets/${name}`, { 'If-None-Match': response.headers.get('etag')! });
      expect(again.status).toBe(304);
    }
    for (const path of [
      '/assets/../package.json',
      '/assets/..%2f..%2fpackage.json',
      '/assets/%2e%2e%2fbrowser.js',
      '/assets/none.js',
      '/assets/',
    ])
      expect([401, 404]).toContain(await statusOf(path));
  });

  test('is asked about its files without leaving them open', async () => {
    const isOpen = () =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).endsWith('/main.js');
        } catch {
          return false;
        }
      });
    const { status, headers } = await fetch(`${service.url}/assets/main.js`, { method: 'HEAD' });
    expect(status).toBe(200);
    expect(Number(headers.get('content-length'))).toBeGreaterThan(1000);
    await soon(() => !isOpen());
  });

  test('gets any scan as NIfTI, as a model sees it', async () => {
    const volume = noiseVolume([9, 8, 7], 1);
    await writeMetaImage(at('scan.mha'), volume);
    const response = await fetch(`${service.url}/v1/convert`, {
      ...{ method: 'POST', headers: bearer, body: fileBytes(at('scan.mha')) },
    });
    expect(response.headers.get('content-type')).toBe('application/x-nifti');
    writeFileSync(at('scan.nii.gz'), await bytesOf(response));
    expect((await readVolume(at('scan.nii.gz'))).voxels).toEqual(orientLPS(volume).voxels);
  });

  test('gets models with a token only', async () => {
    const path = '/v1/models/masks/file';
    expect((await get(path)).status).toBe(401);
    const response = await get(path, bearer);
    expect(await bytesOf(response)).toEqual(readFileSync(at('masks.onnx')));
    const same = await get(path, { ...bearer, 'If-None-Match': response.headers.get('etag')! });
    expect(same.status).toBe(304);
    const none = await get('/v1/models/none/file', bearer);
    expect(none.status).toBe(404);
    expect(await jsonOf(none)).toMatchObject({ title: 'there is no such model', expected: 'masks' });
  });
});
