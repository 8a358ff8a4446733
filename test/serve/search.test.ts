/** What the service finds is what the command finds. */
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { beforeAll, expect, test } from 'vitest';
import { picturesOfHits } from '../../src/commands/hit-pictures.js';
import { makeIndex } from '../../src/commands/make-index.js';
import { queryScan, type VoxelBox } from '../../src/commands/query.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { openImageModel } from '../../src/inference/image-model.js';
import { readModelScan } from '../../src/inference/model-scan.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { openIndex, queryIndex } from '../../src/search/open-index.js';
import { serve } from '../../src/serve/serve.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeThresholds } from '../inference/models.js';
import { bytesOf, fileBytes, jsonOf, soon, type TestService, testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const box: VoxelBox = [
  [16, 4, 4],
  [31, 19, 11],
];

let service: TestService;
beforeAll(async () => {
  writePretrained(at('encoder.onnx'), 'encoder');
  writePretrained(at('other.onnx'), 'autoencoder');
  mkdirSync(at('scans'));
  for (const [i, name] of ['a', 'b', 'c'].entries())
    await writeNifti(at('scans', `${name}.nii.gz`), noiseVolume([40, 20, 12], i));
  // The same scan elsewhere, which the command does not take for the one in the index either.
  copyFileSync(at('scans/b.nii.gz'), at('again.nii.gz'));
  const model = at('encoder.onnx');
  await makeIndex({ model, input: [at('scans')], out: at('index'), per: 'window', threads: 1 });
  service = await testService({ models: [at('other.onnx'), model], index: at('index') });
});

const search = (query: string) => service.post(`/v1/search?${query}`, fileBytes(at('again.nii.gz')));

test('finds the regions that p2w query finds, and says where their scans are', async () => {
  const expected = await queryScan({ index: at('index'), input: at('again.nii.gz'), box, k: 5, threads: 1 });
  const { hits, windows, model } = await jsonOf(await search(`k=5&box=${box.flat().join(',')}`));
  expect(model.name).toBe('encoder');
  expect(windows).toBe(1);
  expect(hits).toHaveLength(5);
  for (const [i, { score, path: _, ...hit }] of expected.hits.entries()) {
    expect(hits[i]).toMatchObject({ ...hit, picture: null });
    expect(hits[i].score).toBeCloseTo(score, 5);
  }
  expect(hits[0]).toMatchObject({ source: 'b', offset: [16, 4, 4] });
  const scan = await service.get(hits[0].scan);
  expect(Buffer.from(await bytesOf(scan)).equals(readFileSync(at('scans/b.nii.gz')))).toBe(true);
});

test('draws what it finds when asked to', async () => {
  const { hits, windows } = await jsonOf(await search('k=2&pictures=true'));
  expect(windows).toBe(12);
  for (const { picture } of hits) {
    expect(picture).toMatch(/^data:image\/png;base64,/);
    expect(decode(Buffer.from(picture.split(',')[1], 'base64')).width).toBeGreaterThan(10);
  }
});

test('draws no more when nobody waits for it', async () => {
  const model = openImageModel(at('encoder.onnx'), nodeEngine, 1);
  const scan = await readModelScan(at('again.nii.gz'), model, () => {});
  const index = openIndex(at('index'));
  const hits = queryIndex(index, index.mean, { k: 36 });
  let read = 0;
  const onScan = () => {
    if (++read === 2) throw new Error('the client has left');
  };
  await expect(picturesOfHits(hits, index.manifest, model, scan, onScan)).rejects.toThrow('has left');
  expect(read).toBe(2);
});

test('tells what is searched, with a map of it', async () => {
  const { map, ...facts } = await jsonOf(await service.get('/v1/index'));
  expect(facts).toMatchObject({ rows: 36, sources: 3, recall: 1 });
  expect(map).toHaveLength(36);
  expect(new Set(map.map(({ source }: { source: string }) => source))).toEqual(new Set(['a', 'b', 'c']));
  for (const { x, y } of map) expect(Number.isFinite(x + y)).toBe(true);
  // Points are told apart as hits are.
  const regions = (found: { source: string; centre: number[] }[]) =>
    found.map(({ source, centre }) => `${source} ${centre}`).sort();
  const { hits } = await jsonOf(await search('k=36'));
  expect(regions(map)).toEqual(regions(hits));
});

test.each([
  ['k=0', 400, /options/],
  ['k=101', 400, /options/],
  ['k=1.5', 400, /options/],
  ['box=1,2,3', 400, /options/],
  ['box=0,0,0,99,9,9', 400, /does not lie in the scan/],
])('refuses %s', async (query, status, what) => {
  const response = await search(query);
  expect(response.status).toBe(status);
  expect((await jsonOf(response)).title).toMatch(what);
});

test.each(['3', '-1', 'x', '..%2Fencoder.onnx'])('has no scan number %s', async (number) => {
  const { status } = await service.get(`/v1/index/scans/${number}`);
  expect([400, 404]).toContain(status);
});

test('a search that waited while its encoder was replaced is not answered by the other one', async () => {
  writePretrained(at('model.onnx'), 'encoder');
  writeThresholds(at('masks.onnx'));
  const own = await testService({ models: [at('model.onnx'), at('masks.onnx')], index: at('index') });
  await writeNifti(at('long.nii'), noiseVolume([200, 200, 100], 1));
  const leave = new AbortController();
  const body = fileBytes(at('long.nii'));
  for (let i = 0; i < 2; i++)
    fetch(`${own.url}/v1/segment?overlap=0.75`, { method: 'POST', body, signal: leave.signal }).catch(
      () => {},
    );
  const count = async (name: string) =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await own.get('/metrics')).text())![1]);
  await soon(async () => (await count('p2w_jobs_running')) === 2);
  const waiting = own.post('/v1/search?k=1', fileBytes(at('again.nii.gz')));
  await soon(async () => (await count('p2w_jobs_waiting')) === 1);
  writePretrained(at('next.onnx'), 'encoder', { license: 'another' });
  renameSync(at('next.onnx'), at('model.onnx'));
  const response = await waiting;
  expect(response.status).toBe(503);
  expect((await jsonOf(response)).title).toMatch(/has just been replaced/);
  leave.abort();
});

test('an index of another encoder is refused at the start', async () => {
  await expect(
    serve({ port: 0, workers: 1, models: [at('other.onnx')], index: at('index') }),
  ).rejects.toThrow(/none of the models is the encoder/);
});

// The last one: what it searches is no longer the index of the service.
test('an index that is written again is not mixed up with the one that was opened', async () => {
  await writeNifti(at('scans', '0-before-all-others.nii.gz'), noiseVolume([40, 20, 12], 9));
  await makeIndex({
    ...{ model: at('encoder.onnx'), input: [at('scans')], out: at('index'), per: 'window', threads: 1 },
  });
  const response = await search('k=1');
  expect(response.status).toBe(503);
  expect((await jsonOf(response)).title).toMatch(/index has been written again/);
});
