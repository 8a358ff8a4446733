import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { COLLECTIONS } from '../models/sources.js';
import { analyze } from '../src/commands/analyze.js';
import { embed } from '../src/commands/embed.js';
import { exportModel } from '../src/commands/export.js';
import { finetune } from '../src/commands/finetune.js';
import { inspect } from '../src/commands/inspect.js';
import { makeIndex } from '../src/commands/make-index.js';
import { prepareSamples } from '../src/commands/prepare-samples.js';
import { pretrain } from '../src/commands/pretrain.js';
import { queryScan } from '../src/commands/query.js';
import { verify } from '../src/commands/verify.js';
import { writeNifti } from '../src/data/scan/nifti.js';
import { openEngine } from '../src/execution/open-engine.js';
import { checkpointPath, loadCheckpoint } from '../src/runs/checkpoint.js';
import { readFinetuneRun } from '../src/runs/run.js';
import { writeSafetensors } from '../src/weights/safetensors-file.js';
import { readWeights } from '../src/weights/weight-file.js';
import { p2wHere } from './commands/here.js';
import { writeBalls } from './data/samples/labelled-data.js';
import { noiseVolume, sampleStore, temporaryFolder } from './data/store/tiles-sample.js';

const CHEST = resolve(import.meta.dirname, '../models/chest');
const inChest = (name: string) => join(CHEST, name);
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const home = process.cwd();
afterEach(() => process.chdir(home));

/** A folder to work in, where names may be taken. */
function workIn(name: string): void {
  mkdirSync(at(name), { recursive: true });
  process.chdir(at(name));
}

beforeAll(async () => {
  for (const seed of [1, 2]) await writeNifti(at(`scan-${seed}.nii`), noiseVolume([32, 32, 16], seed));
});

describe('the files of the encoder chest', () => {
  test('are those that the checksums are of', () => {
    const sums = readFileSync(inChest('SHA256SUMS'), 'utf8').trim().split('\n');
    const hash = (name: string) =>
      createHash('sha256')
        .update(readFileSync(inChest(name)))
        .digest('hex');
    const others = readdirSync(CHEST).filter((name) => name !== 'SHA256SUMS');
    expect(sums.toSorted()).toEqual(others.map((name) => `${hash(name)}  ${name}`).toSorted());
  });

  test('name every scan, its licence, and whom to credit', () => {
    const card = readFileSync(inChest('model-card.md'), 'utf8');
    expect(COLLECTIONS.flatMap(({ scans }) => Object.keys(scans))).toHaveLength(9);
    for (const { name, license, licenseUrl, citation, scans } of COLLECTIONS) {
      expect(['CC BY 3.0', 'CC BY 4.0', 'Apache-2.0']).toContain(license);
      for (const scan of Object.values(scans)) expect(card).toContain(`| ${name}, ${scan} | ${license} |`);
      expect(card).toContain(`- ${name} ([${license}](${licenseUrl})): ${citation}.`);
      expect(citation).toMatch(/https:\/\/doi\.org\/10\.\d+\/\S+/);
    }
    expect(card).toContain('| licence of the weights | CC-BY-4.0 |');
  });

  test('are described with their own numbers', async () => {
    const { metadata } = (await inspect('chest')).facts as { metadata: Record<string, string> };
    const card = readFileSync(inChest('model-card.md'), 'utf8');
    const text = readFileSync(join(CHEST, '../../docs/models.md'), 'utf8').replaceAll('\n', ' ');
    const tiles = Number(/training data \| (\d+) tiles/.exec(card)![1]);
    const mean = Number(/training wholes would have a validation MSE of ([\d.]+\d)/.exec(card)![1]);
    const [, error] = /relative RMS difference to float32 (\S+)/.exec(card)!;
    expect(text).toContain(`after ${Number(metadata.training_steps).toLocaleString('en')} steps`);
    expect(text).toContain(`on ${tiles.toLocaleString('en')} tiles`);
    expect(text).toContain(`validation MSE of ${Number(metadata.best_validation_mse).toFixed(4)}`);
    expect(text).toContain(`would have ${mean.toFixed(4)}`);
    expect(text).toContain(`differ from those of float32 by ${error} `);
  });
});

describe('chest, in place of a model', () => {
  test('passes its self-test, and shows what it is', async () => {
    const found = await verify('chest');
    expect(found).toMatchObject({ model: 'chest', ok: true, tolerance: 1e-3 });
    expect(await inspect('chest')).toMatchObject({
      kind: 'model',
      facts: { metadata: { precision: 'float16-weights', license: 'CC-BY-4.0' } },
    });
  });

  test('passes it on WebAssembly too', async () => {
    expect(await verify('chest', await openEngine('cpu', 'web'))).toMatchObject({ ok: true });
  });

  test('embeds as its file does', async () => {
    const input = [at('scan-1.nii')];
    await embed({ model: 'chest', input, out: at('by-name.npy'), threads: 1 });
    await embed({ model: inChest('encoder.onnx'), input, out: at('by-path.npy'), threads: 1 });
    expect(readFileSync(at('by-name.npy'))).toEqual(readFileSync(at('by-path.npy')));
  });

  test('makes an index that finds its model again', async () => {
    const input = [1, 2].map((seed) => at(`scan-${seed}.nii`));
    await makeIndex({ model: 'chest', input, out: at('index'), threads: 1 });
    const { hits } = await queryScan({ index: at('index'), input: input[0]!, threads: 1 });
    expect(hits).toMatchObject([{ source: 'scan-2' }]);
  });

  test('goes by its name in an analysis', async () => {
    await sampleStore(at('tiles'));
    const counts = { wholes: 2, parts: 4, pairWholes: 2, pairParts: 4 };
    const { encoders } = await analyze({
      models: [{ path: 'chest' }],
      data: at('tiles'),
      out: at('a'),
      ...counts,
    });
    expect(encoders).toMatchObject([{ name: 'chest', model: 'chest' }]);
  });

  test('is a file of that name where there is one, but not a folder', async () => {
    workIn('a-file');
    copyFileSync(at('scan-1.nii'), 'chest');
    expect(await verify('chest')).toMatchObject({ ok: false });
    workIn('a-folder');
    mkdirSync('chest');
    expect(await verify('chest')).toMatchObject({ ok: true });
  });

  test.each([
    ['verify', 'chst'],
    ['embed', '--model', 'chst', '--input', 'scan-1.nii', '--out', 'features.npy'],
    ['serve', '--model', 'chst', '--port', '0'],
  ])('%s lists the names for one that there is not', async (...line) => {
    const { code, stderr } = await p2wHere(line, folder);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/chst: no such file or folder\n.*\(chest\)/);
  });
});

describe('chest, as the beginning of a training', () => {
  const train = (out: string, config: object, init = 'chest') =>
    finetune({
      ...{ data: at('masked'), out: at(out), init },
      config: { ...config, frozenEncoder: true, steps: 1, batch: 4, threads: 1, workers: 0 },
    });
  const trained = (out: string) => loadCheckpoint(checkpointPath(at(`${out}/trial-01`), 'last')).tensors;
  const loaded = (out: string) => JSON.parse(readFileSync(at(`${out}/trial-01/loaded.json`), 'utf8'));
  const partsOf = (names: Iterable<string>, ...parts: string[]) =>
    [...names].filter((name) => parts.includes(name.split('.')[0]!)).toSorted();

  beforeAll(async () => {
    await writeBalls(at('raw'), { patients: 16, each: 1, size: [16, 16, 8] });
    const size = [16, 16, 8] as const;
    await prepareSamples({ task: 'manifest', input: at('raw'), out: at('masked'), size, classes: ['ball'] });
  });

  test('gives the whole encoder', async () => {
    await train('encoder', {});
    const weights = await readWeights(inChest('weights.safetensors'));
    const names = partsOf(weights.keys(), 'encoder');
    expect(names.length).toBeGreaterThan(20);
    expect(loaded('encoder').loaded.toSorted()).toEqual(names);
    for (const name of names) expect(trained('encoder').get(name)!.data).toEqual(weights.get(name)!.data);
  });

  test('gives the decoder too, to a network without skip connections', async () => {
    await train('both', { init: { parts: ['encoder', 'decoder'] }, network: { skip: false } });
    const weights = await readWeights(inChest('weights.safetensors'));
    expect(loaded('both')).toMatchObject({ missing: [], mismatched: [], unexpected: [] });
    expect(loaded('both').loaded.toSorted()).toEqual(partsOf(weights.keys(), 'encoder', 'decoder'));
  });

  test('is a run of that name where there is one', async () => {
    workIn('runs');
    await sampleStore('tiles');
    const network = { levels: 2, width: 2 };
    await pretrain({
      ...{ data: 'tiles', out: 'chest' },
      config: { whole: [16, 8, 8], network, batch: 4, threads: 1, workers: 0, steps: 1 },
    });
    await train('own', {});
    expect(readFinetuneRun(at('own/trial-01')).config).toMatchObject({ init: { from: 'chest' }, network });
  });

  test('brings its network along, as all weights do that were exported', async () => {
    const { weights } = await exportModel({ run: at('runs/chest'), out: at('exported') });
    await train('narrow', {}, weights);
    const { network } = readFinetuneRun(at('narrow/trial-01')).config;
    expect(network).toMatchObject({ levels: 2, width: 2, skip: true });
    for (const damaged of ['{', '{"width":0}']) {
      writeSafetensors(at('damaged.safetensors'), [], { network: damaged });
      await expect(train('x', {}, at('damaged.safetensors'))).rejects.toThrow(
        /damaged.safetensors, network: /,
      );
    }
  });

  test('is listed where there are no such weights', async () => {
    const attempt = finetune({ data: at('masked'), out: at('none'), init: 'chst' });
    await expect(attempt).rejects.toThrow(/there are no weights here[\s\S]*\(chest\)/);
  });
});
