/** What the service answers is what the commands write. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decode } from 'fast-png';
import { zipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import { classify } from '../../src/commands/classify.js';
import { embed } from '../../src/commands/embed.js';
import { reconstruct } from '../../src/commands/reconstruct.js';
import { segment } from '../../src/commands/segment.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { parseNpy } from '../../src/data/scan/npy.js';
import { writeNrrd } from '../../src/data/scan/write-nrrd.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { infer } from '../../src/serve/worker/infer.js';
import type { WorkingModel } from '../../src/serve/worker/models.js';
import { ctSeries, PLANTED, writeFiles } from '../data/scan/dicom/writer.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeTarget, writeThresholds } from '../inference/models.js';
import { bytesOf, fileBytes, jsonOf, type TestService, testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const scan = at('scan.nii.gz');
/** As many as the one worker of the service uses. */
const threads = availableParallelism();
const series = ctSeries(6);

let service: TestService;
beforeAll(async () => {
  await writeNifti(scan, noiseVolume([20, 18, 12], 1));
  writePretrained(at('encoder.onnx'), 'encoder');
  writePretrained(at('whole.onnx'), 'autoencoder');
  writeTarget(at('sizes.onnx'), 'classification', ['small', 'large']);
  writeThresholds(at('masks.onnx'));
  service = await testService({
    models: [at('encoder.onnx'), `whole=${at('whole.onnx')}`, at('sizes.onnx'), at('masks.onnx')],
  });
});

const jsonLines = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const npy = async (response: Response) => parseNpy('the answer', await bytesOf(response));

describe('the service', () => {
  test('embeds a scan as p2w embed does', async () => {
    await embed({ model: at('encoder.onnx'), input: [scan], out: at('features.jsonl'), threads });
    const [expected] = jsonLines(at('features.jsonl'));
    const response = await service.post('/v1/embed?model=encoder', fileBytes(scan));
    expect(response.status).toBe(200);
    const { model, dimensions, vectors, notes } = await jsonOf(response);
    expect(model.name).toBe('encoder');
    expect(response.headers.get('model-sha256')).toBe(model.sha256);
    expect(notes).toEqual([]);
    expect(dimensions).toBe(expected.features.length);
    expect(vectors).toEqual([
      { offset: null, centre: null, windows: expected.windows, features: expected.features },
    ]);
  });

  test('embeds windows, as JSON and as an array', async () => {
    const out = at('windows.jsonl');
    await embed({ model: at('encoder.onnx'), input: [scan], out, per: 'window', threads });
    const expected = jsonLines(out);
    const path = '/v1/embed?model=encoder&per=window';
    const { vectors } = await jsonOf(await service.post(path, fileBytes(scan)));
    expect(vectors.map(({ centre }: { centre: number[] }) => centre)).toEqual(
      expected.map(({ centre }) => centre),
    );
    const response = await service.post(path, fileBytes(scan), { Accept: 'application/x-npy' });
    expect(response.headers.get('content-type')).toBe('application/x-npy');
    const { data, shape } = await npy(response);
    expect(shape).toEqual([expected.length, expected[0].features.length]);
    expect([...data]).toEqual(expected.flatMap(({ features }) => features));
  });

  test('segments a scan as p2w segment does', async () => {
    await segment({ model: at('masks.onnx'), input: [scan], out: at('segmented'), threads });
    const mask = gunzipSync(readFileSync(at('segmented', 'masks', 'scan.nii.gz')));
    const response = await service.post('/v1/segment', fileBytes(scan), { Accept: 'application/x-nifti' });
    expect(gunzipSync(await bytesOf(response)).equals(mask)).toBe(true);
    const { volumes, grid } = await jsonOf(await service.post('/v1/segment', fileBytes(scan)));
    expect(grid.size).toEqual([20, 18, 12]);
    const voxels = [1, 2].map((label) => mask.subarray(352).filter((value) => value === label).length);
    expect(volumes).toEqual([
      { label: 1, class: 'tissue', voxels: voxels[0], ml: voxels[0]! / 1000 },
      { label: 2, class: 'bone', voxels: voxels[1], ml: voxels[1]! / 1000 },
    ]);
    const { data, shape } = await npy(
      await service.post('/v1/segment', fileBytes(scan), { Accept: 'application/x-npy' }),
    );
    expect(shape).toEqual([12, 18, 20]);
    expect(Buffer.from(data as Uint8Array).equals(mask.subarray(352))).toBe(true);
    const picture = await bytesOf(await service.post('/v1/segment', fileBytes(scan), { Accept: 'image/*' }));
    expect(picture.equals(readFileSync(at('segmented', 'pictures', 'scan.png')))).toBe(true);
  });

  test('removes small components when asked to', async () => {
    const response = await service.post(
      '/v1/segment?largestComponent=true&minimumVolume=1000',
      fileBytes(scan),
    );
    const { volumes } = await jsonOf(response);
    expect(volumes.map(({ voxels }: { voxels: number }) => voxels)).toEqual([0, 0]);
  });

  test.each(['scan', 'window'] as const)('classifies per %s as p2w classify does', async (per) => {
    const out = at(`classes-${per}.jsonl`);
    await classify({ model: at('sizes.onnx'), input: [scan], out, per, threads });
    const { classes, predictions } = await jsonOf(
      await service.post(`/v1/classify?per=${per}`, fileBytes(scan)),
    );
    expect(classes).toEqual(['small', 'large']);
    expect(predictions).toEqual(jsonLines(out).map(({ scan: _, ...rest }) => rest));
  });

  test('reconstructs a scan as p2w reconstruct does', async () => {
    const out = at('reconstructed');
    const { errors } = await reconstruct({ model: at('whole.onnx'), input: [scan], out, threads });
    const answer = await jsonOf(await service.post('/v1/reconstruct', fileBytes(scan)));
    expect(answer.meanAbsoluteError).toBe(errors[0]!.meanAbsoluteError);
    const image = await bytesOf(
      await service.post('/v1/reconstruct', fileBytes(scan), { Accept: 'application/x-nifti' }),
    );
    const written = readFileSync(join(out, 'reconstructions', 'scan.nii.gz'));
    expect(gunzipSync(image).equals(gunzipSync(written))).toBe(true);
    const picture = await bytesOf(
      await service.post('/v1/reconstruct', fileBytes(scan), { Accept: 'image/png' }),
    );
    expect(decode(picture).width).toBeGreaterThan(300);
  });

  test('recognises every format by its content', async () => {
    const volume = noiseVolume([20, 18, 12], 1);
    await writeNifti(at('same.nii'), volume);
    await writeMetaImage(at('same.mha'), volume, { compressed: true });
    await writeNrrd(at('same.nrrd'), volume);
    const features = async (body: Uint8Array, type = 'application/octet-stream') => {
      const response = await service.post('/v1/embed?model=encoder', body, { 'Content-Type': type });
      return (await jsonOf(response)).vectors[0].features;
    };
    const expected = await features(fileBytes(scan));
    for (const name of ['same.nii', 'same.mha', 'same.nrrd'])
      expect(await features(fileBytes(at(name)), 'text/plain')).toEqual(expected);
  });

  test('reads a header with its data files out of a zip, in any folder and under any name', async () => {
    const volume = noiseVolume([20, 18, 12], 1);
    await writeMetaImage(at('Doe^Jane.mhd'), volume, { compressed: true });
    const nifti = gunzipSync(fileBytes(scan));
    const pair = Buffer.from(nifti.subarray(0, 348));
    pair.writeFloatLE(0, 108); // vox_offset
    pair.write('ni1\0', 344, 'latin1');
    const zips = {
      mhd: {
        'ct/Doe^Jane.mhd': fileBytes(at('Doe^Jane.mhd')),
        'ct/Doe^Jane.zraw': fileBytes(at('Doe^Jane.zraw')),
      },
      hdr: { 'a.HDR': new Uint8Array(pair), 'a.IMG': new Uint8Array(nifti.subarray(352)) },
    };
    const { vectors } = await jsonOf(await service.post('/v1/embed?model=encoder', fileBytes(scan)));
    for (const files of Object.values(zips)) {
      const answer = await jsonOf(await service.post('/v1/embed?model=encoder', zipSync(files)));
      expect(answer.vectors).toEqual(vectors);
    }
  });

  test('says which data file is missing, and logs no name of it', async () => {
    const header = readFileSync(at('Doe^Jane.mhd'));
    for (const body of [new Uint8Array(header), zipSync({ 'a.mhd': new Uint8Array(header) })]) {
      const response = await service.post('/v1/embed?model=encoder', body);
      expect(response.status).toBe(422);
      const { title, got } = await jsonOf(response);
      expect([title, got]).toEqual(['a file that belongs to this scan is missing', 'no Doe^Jane.zraw']);
    }
    expect(JSON.stringify(service.logs)).not.toContain('Doe^Jane');
  });

  test('reads a zip of DICOM as the folder that it was made of, and shows nothing of the patient', async () => {
    writeFiles(at('dicom'), series);
    await segment({ model: at('masks.onnx'), input: [at('dicom')], out: at('of-dicom'), threads });
    const names = Object.fromEntries(
      Object.entries({ ...series, 'README.txt': Buffer.from('hello') }).map(([name, bytes]) => [
        `Doe^Jane/${name}`,
        new Uint8Array(bytes),
      ]),
    );
    const zip = zipSync(names);
    const response = await service.post('/v1/segment', zip);
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(JSON.parse(text).grid.size).toEqual([4, 3, 6]);
    const csv = readFileSync(at('of-dicom', 'volumes.csv'), 'utf8').trim().split('\n').slice(1);
    expect(JSON.parse(text).volumes.map(({ voxels }: { voxels: number }) => voxels)).toEqual(
      csv.map((line) => Number(line.split(',')[3])),
    );
    for (const secret of PLANTED) expect(text + JSON.stringify(service.logs)).not.toContain(secret);
  });

  test('names the series of a zip with several, and takes one of them', async () => {
    const other = ctSeries(4, () => ({ '0020000e': ['UI', '1.2.3.99.77'] }));
    const both = [
      ...Object.entries(series),
      ...Object.entries(other).map(([name, b]) => [`b/${name}`, b] as const),
    ];
    const zip = zipSync(Object.fromEntries(both.map(([name, bytes]) => [name, new Uint8Array(bytes)])));
    const refused = await service.post('/v1/segment', zip);
    expect(refused.status).toBe(422);
    const problem = await jsonOf(refused);
    expect(problem.title).toBe('there are several scans here');
    const names = problem.choices.map(({ name }: { name: string }) => name);
    expect(names).toHaveLength(2);
    for (const { name, what } of problem.choices) expect(problem.got).toContain(`${name} (${what})`);
    const depths = await Promise.all(
      names.map(async (name: string) => {
        const response = await service.post(`/v1/segment?series=${name}`, zip);
        return (await jsonOf(response)).grid.size[2];
      }),
    );
    expect(depths.sort()).toEqual([4, 6]);
  });

  test('notes values that do not look like HU', async () => {
    const volume = noiseVolume([20, 18, 12], 1);
    await writeNifti(at('mr.nii'), { ...volume, voxels: volume.voxels.map((v) => Math.abs(v)) });
    const { notes } = await jsonOf(await service.post('/v1/segment', fileBytes(at('mr.nii'))));
    expect(notes).toEqual([expect.stringContaining('do not look like HU')]);
    expect(notes[0]).not.toContain('/');
  });

  test('leaves nothing behind', () => expect(service.leftBehind()).toEqual([]));
});

test('requests that share batches get the features of their own scans', async () => {
  const batching = await testService({ models: [at('encoder.onnx')], batch: 4 });
  const scans = [...Array(6).keys()].map((seed) => at(`scan-${seed}.nii`));
  for (const [seed, path] of scans.entries()) await writeNifti(path, noiseVolume([32, 32, 16], seed));
  const featuresOf = async (from: TestService, path: string): Promise<number[]> =>
    (await jsonOf(await from.post('/v1/embed?model=encoder&overlap=0.75', fileBytes(path)))).vectors[0]
      .features;
  const together = await Promise.all(scans.map((path) => featuresOf(batching, path)));
  for (const [i, path] of scans.entries()) {
    const alone = await featuresOf(service, path);
    for (const [k, value] of alone.entries()) expect(together[i]![k]).toBeCloseTo(value, 4);
  }
  const text = await (await batching.get('/metrics')).text();
  const [single, all] = ['1', '4'].map((most) =>
    Number(new RegExp(`p2w_batch_windows_bucket\\{le="${most}"\\} (\\d+)`).exec(text)![1]),
  );
  expect(all).toBeGreaterThan(single!);
});

describe('requests that the service refuses', () => {
  test.each([
    ['options that are none', '/v1/embed?model=encoder&per=voxel', 400, /options/],
    ['options of others', '/v1/embed?model=encoder&minimumVolume=1', 400, /options/],
    ['an overlap of all', '/v1/segment?overlap=0.99', 400, /options/],
    ['no model where several can do it', '/v1/embed', 400, /several models/],
    ['a model that is not there', '/v1/embed?model=other', 404, /no such encoder/],
    ['a model that cannot do it', '/v1/segment?model=encoder', 404, /no such segmenter/],
    ['a path that leads nowhere', '/v1/nothing', 404, /nothing here/],
  ])('%s', async (_, path, status, title) => {
    const response = await service.post(path, fileBytes(scan));
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const problem = await jsonOf(response);
    expect(problem.title).toMatch(title);
    expect(problem.requestId).toBe(response.headers.get('x-request-id'));
  });

  test.each([
    ['a format that there is not', { Accept: 'image/png' }, 406],
    ['a form', { 'Content-Type': 'multipart/form-data; boundary=x' }, 415],
    ['a compressed body', { 'Content-Encoding': 'gzip' }, 415],
  ])('%s', async (_, headers, status) => {
    const response = await service.post('/v1/embed?model=encoder', fileBytes(scan), headers);
    expect(response.status).toBe(status);
  });

  test.each([
    ['no body', new Uint8Array(0), 400],
    ['what is no scan', new TextEncoder().encode('hello'), 422],
    ['what is compressed, but no scan', new Uint8Array([0x1f, 0x8b, 8, 0, 0]), 422],
  ])('%s', async (_, body, status) => {
    expect((await service.post('/v1/embed?model=encoder', body)).status).toBe(status);
  });
});

describe('what the service says of itself', () => {
  test('models', async () => {
    const { models } = await jsonOf(await service.get('/v1/models'));
    expect(models.map(({ name, kind }: { name: string; kind: string }) => [name, kind])).toEqual([
      ['encoder', 'encoder'],
      ['whole', 'autoencoder'],
      ['sizes', 'classifier'],
      ['masks', 'segmenter'],
    ]);
    expect(models[3]).toMatchObject({ window: [16, 16, 8], classes: ['tissue', 'bone'] });
  });

  test('health and readiness', async () => {
    expect((await service.get('/healthz')).status).toBe(200);
    expect((await service.get('/readyz')).status).toBe(200);
  });

  test('metrics, by routes', async () => {
    const text = await (await service.get('/metrics')).text();
    expect(text).toMatch(/p2w_requests_total\{route="\/v1\/embed",method="POST",status="200"\} [1-9]/);
    expect(text).toMatch(/p2w_requests_total\{route="unknown",method="POST",status="404"\} 1/);
    expect(text).toMatch(/p2w_batch_windows_count [1-9]/);
    expect(text).toMatch(/p2w_model_info\{name="masks",kind="segmenter",sha256="[0-9a-f]{64}"\} 1/);
    expect(text).toMatch(/p2w_build_info\{version="[\d.]+",runtime="onnxruntime-node/);
  });

  test('an OpenAPI document whose options are those that are taken', async () => {
    const { openapi, paths, components } = await jsonOf(await service.get('/openapi.json'));
    expect(openapi).toBe('3.1.0');
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v1/embed', '/v1/segment', '/v1/classify', '/v1/reconstruct', '/v1/models']),
    );
    const overlap = paths['/v1/segment'].post.parameters.find(
      ({ name }: { name: string }) => name === 'overlap',
    );
    expect(overlap.schema).toMatchObject({ type: 'number', minimum: 0, maximum: 0.75, default: 0.5 });
    expect(Object.keys(components.schemas)).toContain('Problem');
  });

  test('a reference page that loads nothing', async () => {
    const text = await (await service.get('/reference')).text();
    expect(text).toContain('POST /v1/segment');
    expect(text).not.toMatch(/<script|src=|https?:\/\/(?!127\.0\.0\.1)/);
  });

  test('a request’s identifier, which the gateway may give', async () => {
    const given = await fetch(`${service.url}/healthz`, { headers: { 'X-Request-Id': 'trace-4711' } });
    expect(given.headers.get('x-request-id')).toBe('trace-4711');
    expect(service.logs.at(-1)).toMatchObject({ event: 'request', id: 'trace-4711', route: '/healthz' });
    const odd = await fetch(`${service.url}/healthz`, { headers: { 'X-Request-Id': 'Jane Doe' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('the KServe v2 protocol', () => {
  // Header and JSON as tritonclient 2.73.0 sends them.
  const shape = [2, 8, 16, 16];
  const values = Int16Array.from({ length: 2 * 8 * 16 * 16 }, (_, i) => ((i * 7919) % 2000) - 1000);
  const input = (more: object) => ({
    id: 'one',
    inputs: [{ name: 'hu', shape, datatype: 'INT16', ...more }],
  });
  const features = async () => {
    const encoder = openEncoder(at('encoder.onnx'), nodeEngine, threads);
    const half = values.length / 2;
    const each = [0, 1].map((i) =>
      encoder.encode(values.slice(i * half, (i + 1) * half), [1, ...shape.slice(1)]),
    );
    const found = (await Promise.all(each)).flatMap((encoding) => [...encoding.features]);
    await encoder.release();
    return found;
  };
  const inferBinary = (header: object, more: Uint8Array = new Uint8Array(values.buffer)) => {
    const json = Buffer.from(JSON.stringify(header));
    return service.post('/v2/models/encoder/infer', Buffer.concat([json, more]), {
      'Inference-Header-Content-Length': String(json.length),
    });
  };

  test('binary tensors', async () => {
    const response = await inferBinary({
      ...input({ parameters: { binary_data_size: values.byteLength } }),
      outputs: [{ name: 'features', parameters: { binary_data: true } }],
    });
    expect(response.status).toBe(200);
    const body = await bytesOf(response);
    const length = Number(response.headers.get('inference-header-content-length'));
    const { model_name, id, outputs } = JSON.parse(body.subarray(0, length).toString());
    expect([model_name, id]).toEqual(['encoder', 'one']);
    expect(outputs).toEqual([
      { name: 'features', datatype: 'FP32', shape: [2, 32], parameters: { binary_data_size: 256 } },
    ]);
    const got = new Float32Array(Uint8Array.from(body.subarray(length)).buffer);
    expect([...got]).toEqual(await features());
  });

  test('tensors in JSON, flat and nested, with all outputs', async () => {
    const nested = Array.from({ length: 2 }, (_, n) => [
      ...values.slice((n * values.length) / 2, ((n + 1) * values.length) / 2),
    ]);
    for (const data of [[...values], nested]) {
      const response = await service.post('/v2/models/encoder/infer', JSON.stringify(input({ data })));
      const { outputs } = await jsonOf(response);
      expect(outputs.map(({ name }: { name: string }) => name)).toEqual(['feature_map', 'features']);
      expect(outputs[1].data).toEqual(await features());
    }
  });

  test('server and model metadata, and readiness', async () => {
    expect(await jsonOf(await service.get('/v2'))).toMatchObject({ extensions: ['binary_tensor_data'] });
    expect((await service.get('/v2/health/live')).status).toBe(200);
    expect((await service.get('/v2/health/ready')).status).toBe(200);
    const model = await jsonOf(await service.get('/v2/models/encoder'));
    expect(model.inputs).toEqual([{ name: 'hu', datatype: 'INT16', shape: [-1, 8, 16, 16] }]);
    const [version] = model.versions;
    expect((await service.get(`/v2/models/encoder/versions/${version}/ready`)).status).toBe(200);
    expect((await service.get('/v2/models/encoder/versions/2/ready')).status).toBe(404);
  });

  test.each([
    ['what is no JSON', '{', /not JSON/],
    ['no inputs', '{}', /not a valid inference request/],
    [
      'another shape',
      JSON.stringify({ inputs: [{ name: 'hu', shape: [1, 8, 8, 8], datatype: 'INT16', data: [] }] }),
      /does not take/,
    ],
    [
      'another type',
      JSON.stringify({ inputs: [{ name: 'hu', shape: [1, 8, 16, 16], datatype: 'FP32', data: [] }] }),
      /does not take/,
    ],
    ['too few values', JSON.stringify(input({ data: [1, 2] })), /do not fill/],
    ...[40_000, 1.5].map((value): [string, string, RegExp] => [
      `${value} as an int16`,
      JSON.stringify(input({ data: [...values.subarray(1), value] })),
      /not of its type/,
    ]),
    ['JSON of 17 MB', `[${'{},'.repeat(17e6 / 3)}{}]`, /too long/],
    ['text for values', JSON.stringify(input({ data: ['1'] })), /not numbers/],
    [
      'a shape of terabytes',
      JSON.stringify({ inputs: [{ name: 'hu', shape: [2 ** 40, 8, 16, 16], datatype: 'INT16', data: [1] }] }),
      /no data|do not fill/,
    ],
    [
      'lists in lists',
      `{"inputs":[{"name":"hu","shape":[1,8,16,16],"datatype":"INT16","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
      /not numbers/,
    ],
    [
      'an output that is not there',
      JSON.stringify({ ...input({ data: [...values] }), outputs: [{ name: 'classes' }] }),
      /no such output/,
    ],
  ])('refuses %s', async (_, body, message) => {
    const response = await service.post('/v2/models/encoder/infer', body);
    expect(response.status).toBe(400);
    expect((await jsonOf(response)).error).toMatch(message);
  });

  test('refuses what would take more memory than there is for a request', async () => {
    const request = { upload: scan, headerBytes: undefined, maxBytes: 1000, onWindows: () => {} };
    await expect(infer({} as WorkingModel, request)).rejects.toThrow(/too large for this service/);
  });

  test('refuses binary data of another length than it says', async () => {
    const header = input({ parameters: { binary_data_size: values.byteLength } });
    expect((await inferBinary(header, new Uint8Array(10))).status).toBe(400);
    const long = await service.post('/v2/models/encoder/infer', '{}', {
      'Inference-Header-Content-Length': '100',
    });
    expect(long.status).toBe(400);
  });
});
