/** What happens to requests when workers die, clients leave, models are replaced and the service ends. */
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeThresholds } from '../inference/models.js';
import { fileBytes, jsonOf, soon, type TestService, testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
writeThresholds(at('masks.onnx'));
await writeNifti(at('small.nii'), noiseVolume([20, 18, 12], 1));
const small = fileBytes(at('small.nii'));
/** Takes about a second at an overlap of 0.75. */
await writeNifti(at('medium.nii'), noiseVolume([64, 64, 40], 1));
const medium = fileBytes(at('medium.nii'));
/** Takes half a minute at an overlap of 0.75: 100,000 windows. */
await writeNifti(at('long.nii'), noiseVolume([200, 200, 100], 1));
const long = fileBytes(at('long.nii'));
const LONG = '/v1/segment?overlap=0.75';

const masks = { models: [at('masks.onnx')] };
/** Waits until a worker is at a job. */
const isAtWork = (service: TestService) =>
  soon(async () => /^p2w_jobs_running 1$/m.test(await (await service.get('/metrics')).text()));

describe('a worker that dies', () => {
  test('is replaced, and its request is answered by another', async () => {
    const service = await testService(masks);
    const expected = await jsonOf(await service.post(LONG, medium));
    const { pid } = await service.logged('worker-started');
    const answer = service.post(LONG, medium);
    await isAtWork(service);
    process.kill(pid as number, 'SIGKILL');
    const response = await answer;
    expect(response.status).toBe(200);
    expect((await jsonOf(response)).volumes).toEqual(expected.volumes);
    expect(service.logs.filter(({ event }) => event === 'worker-died')).toHaveLength(1);
    expect((await service.get('/readyz')).status).toBe(200);
  });

  test('is not given the same request for ever', async () => {
    const service = await testService(masks);
    const answer = service.post(LONG, long);
    await isAtWork(service);
    const beside = service.post('/v1/segment?overlap=0.75', small);
    for (let death = 0; death < 2; death++) {
      await isAtWork(service);
      const { pid } = service.logs.findLast(({ event }) => event === 'worker-started')!;
      process.kill(pid as number, 'SIGKILL');
      await soon(() => service.logs.filter(({ event }) => event === 'worker-died').length === death + 1);
    }
    const response = await answer;
    expect(response.status).toBe(500);
    expect((await jsonOf(response)).title).toMatch(/worker died/);
    // Not its fault: it was done again, apart from the other.
    expect((await beside).status).toBe(200);
    expect((await service.post('/v1/segment', small)).status).toBe(200);
    expect(service.leftBehind()).toEqual([]);
  });
});

describe('a queue', () => {
  test('refuses what is too much, says when to come back, and serves the others', async () => {
    const service = await testService({ ...masks, queue: 1 });
    const counts = async () => (await (await service.get('/metrics')).text()).match(/^p2w_jobs_.* \d+$/gm);
    const leave = new AbortController();
    const begin = () => fetch(service.url + LONG, { method: 'POST', body: long, signal: leave.signal });
    const first = begin();
    await isAtWork(service);
    // A short request is done beside a long one.
    expect((await service.post('/v1/segment', small)).status).toBe(200);
    const second = begin();
    await soon(async () => (await counts())?.includes('p2w_jobs_running 2'));
    const third = service.post('/v1/segment', small);
    await soon(async () => (await counts())?.includes('p2w_jobs_waiting 1'));
    const refused = await service.post('/v1/segment', small);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    // The first clients leave: their work ends between two windows, and the third is served.
    leave.abort();
    await expect(first).rejects.toThrow();
    await expect(second).rejects.toThrow();
    expect((await third).status).toBe(200);
    await soon(() => service.logs.filter(({ status }) => status === 499).length === 2);
    expect(service.logs.some(({ event }) => event === 'worker-died')).toBe(false);
    expect(service.leftBehind()).toEqual([]);
  });

  test('ends what takes too long', async () => {
    const service = await testService({ ...masks, timeoutSeconds: 1 });
    const response = await service.post(LONG, long);
    expect(response.status).toBe(504);
    expect(service.logs.some(({ event }) => event === 'worker-died')).toBe(false);
    expect((await service.post('/v1/segment', small)).status).toBe(200);
  });

  test('answers about health while models compute', async () => {
    const service = await testService(masks);
    const leave = new AbortController();
    const work = fetch(service.url + LONG, { method: 'POST', body: long, signal: leave.signal }).catch(
      () => {},
    );
    await isAtWork(service);
    for (let i = 0; i < 20; i++) expect((await service.get('/healthz')).status).toBe(200);
    await isAtWork(service);
    leave.abort();
    await work;
  });
});

describe('a model file that is replaced', () => {
  const shaOf = async (response: Promise<Response>) => (await response).headers.get('model-sha256')!;

  test('is copied again where its copy has been cleared away', async () => {
    writePretrained(at('kept.onnx'), 'encoder');
    const service = await testService({ models: [at('kept.onnx')] });
    const before = await shaOf(service.post('/v1/embed', small));
    for (const copy of service.modelCopies()) rmSync(copy);
    await service.logged('model-replaced');
    expect(service.modelCopies()).toHaveLength(1);
    const file = await service.get('/v1/models/kept/file');
    expect([file.status, (await file.arrayBuffer()).byteLength]).toEqual([
      200,
      statSync(at('kept.onnx')).size,
    ]);
    expect(await shaOf(service.post('/v1/embed', small))).toBe(before);
  });

  test('is taken over when it is good, and refused when it is not, without a lost request', async () => {
    writePretrained(at('model.onnx'), 'encoder');
    const service = await testService({ models: [at('model.onnx')] });
    const embedded = () => service.post('/v1/embed', small);
    const before = await shaOf(embedded());
    let stop = false;
    const statuses: number[] = [];
    const client = async () => {
      while (!stop) statuses.push((await embedded()).status);
    };
    const clients = [client(), client()];

    let from = service.logs.length;
    writeFileSync(at('next.onnx'), fileBytes(at('model.onnx')).subarray(0, 5000));
    renameSync(at('next.onnx'), at('model.onnx'));
    expect(await service.logged('model-refused', from)).toMatchObject({ model: 'model' });
    expect(await shaOf(embedded())).toBe(before);

    from = service.logs.length;
    writeThresholds(at('next.onnx'));
    renameSync(at('next.onnx'), at('model.onnx'));
    expect((await service.logged('model-refused', from)).reason).toMatch(/a segmenter gives masks/);
    expect(await shaOf(embedded())).toBe(before);

    from = service.logs.length;
    writePretrained(at('next.onnx'), 'encoder', { license: 'another' });
    renameSync(at('next.onnx'), at('model.onnx'));
    const { sha256 } = await service.logged('model-replaced', from);
    expect(sha256).not.toBe(before);
    expect(await shaOf(embedded())).toBe(sha256);
    const { models } = await jsonOf(await service.get('/v1/models'));
    expect(models[0].sha256).toBe(sha256);

    // A worker that dies later comes back with the model that was taken over.
    const { pid } = service.logs.findLast(({ event }) => event === 'worker-started')!;
    process.kill(pid as number, 'SIGKILL');
    await soon(() => service.logs.some(({ event }) => event === 'worker-died'));
    expect(await shaOf(embedded())).toBe(sha256);
    stop = true;
    await Promise.all(clients);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

describe('a service that ends', () => {
  test('answers what it has, and takes nothing new', async () => {
    const service = await testService(masks);
    const answer = service.post(LONG, medium);
    await isAtWork(service);
    const closed = service.close();
    expect((await answer).status).toBe(200);
    await closed;
    await expect(service.get('/healthz')).rejects.toThrow();
    expect(service.logs.at(-1)!.event).toBe('closed');
  });

  test('does not wait for ever', async () => {
    const service = await testService({ ...masks, drainSeconds: 1 });
    const answer = service.post(LONG, long).then(
      () => 'answered',
      () => 'cut off',
    );
    await isAtWork(service);
    await service.close();
    expect(await answer).toBe('cut off');
  });
});
