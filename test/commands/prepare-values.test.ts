import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { analyze } from '../../src/commands/analyze.js';
import { embed } from '../../src/commands/embed.js';
import { exportModel } from '../../src/commands/export.js';
import { formatPrepare, type PrepareOptions, prepare } from '../../src/commands/prepare.js';
import { pretrain } from '../../src/commands/pretrain.js';
import type { SampleStore } from '../../src/data/samples/store.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import type { Voxels, XYZ } from '../../src/data/scan/volume.js';
import { openTileStore, readTile } from '../../src/data/store/tiles.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { externalFeatures } from '../../src/inference/external-encoder.js';
import { randomStream } from '../../src/random.js';
import { readRun } from '../../src/runs/run.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SCAN: XYZ = [32, 24, 16];
const SIZE: XYZ = [16, 8, 8];

/** Writes a scan whose values are made from noise u in [0, 1). */
async function scan(name: string, value: (u: number, i: number) => number, int16 = false): Promise<string> {
  const random = randomStream(1, name);
  const length = SCAN[0] * SCAN[1] * SCAN[2];
  const make = (_: unknown, i: number) => value(random.uniform(), i);
  const voxels: Voxels = int16 ? Int16Array.from({ length }, make) : Float32Array.from({ length }, make);
  await writeMetaImage(at(name), { ...noiseVolume([1, 1, 1], 0), size: SCAN, voxels });
  return at(name);
}

let stores = 0;
const run = (input: string, options: Partial<PrepareOptions> = {}) =>
  prepare({ input: [input], out: at(`store${stores++}`), size: SIZE, valFraction: 0, ...options });

const bell = (u: number) => Math.log((u + 1e-3) / (1 - u + 1e-3));

describe('scans of no HU', () => {
  test.each<[string, (u: number, i: number) => number, boolean, RegExp]>([
    ['z-scores', bell, false, /-6\.\d+ … 6\.\d+, 98 % of them in -4\.\d+ … 4\.\d+: looks like a z-score/],
    ['0 to 1', (u) => u, false, /looks like values scaled to 1/],
    ['8 bits', (u) => Math.floor(256 * u), true, /0 … 255, .* an 8-bit image/],
    ['12 bits', (u) => Math.floor(4096 * u), true, /0 … 4095, .*rescale intercept/],
    ['MR', (u) => 9000 * u, false, /like MR, PET or another modality/],
  ])('of %s are refused, with what they look like', async (name, value, int16, look) => {
    const input = await scan(`${name}.mha`, value, int16);
    const { scans, failures } = await run(input);
    expect(scans).toEqual([]);
    expect(failures[0]!.message).toMatch(/do not look like HU/);
    expect(failures[0]!.message).toMatch(look);
    expect(failures[0]!.message).toMatch(/--normalise minmax or zscore/);
    // Who says that they are HU is believed.
    expect((await run(input, { normalise: 'hu' })).scans).toHaveLength(1);
  });

  test('of numbers far beyond int16 are refused, whatever is said of them', async () => {
    const input = await scan('far.mha', (u, i) => (i % 100 === 0 ? 1e32 : 2000 * u - 1000));
    for (const options of [{}, { normalise: 'hu' as const }]) {
      const { failures } = await run(input, options);
      expect(failures[0]!.message).toMatch(
        /cannot be HU[\s\S]*123 of 12288 voxels outside ±32768: -\d+ … 1e\+32/,
      );
    }
    const { failures } = await run(input, { normalise: 'minmax' });
    expect(failures[0]!.message).toMatch(/2 different values[\s\S]*clip the outliers/);
  });

  test('but for a few voxels are clamped, and that is said', async () => {
    const input = await scan('few.mha', (u, i) => (i === 5 ? 1e32 : i < 4 ? Number.NaN : 2000 * u - 1000));
    const summary = await run(input);
    expect(summary.scans).toMatchObject([{ id: 'few', nonFinite: 4, clamped: 1 }]);
    expect(formatPrepare(summary)).toMatch(/few: 12 tiles, train; 4 voxels were NaN.*; 1 voxels beyond/);
    const store = openTileStore(summary.out);
    expect([...readTile(store, store.train[0]!).subarray(3, 6)]).toMatchObject([-1024, {}, 32767]);
  });

  test('a CT with padding, in HU or with fractions, is taken as it is', async () => {
    const input = await scan('ct.mha', (u, i) => (i % 3 === 0 ? -2000 : 2000 * u - 999.5));
    expect((await run(input)).failures).toEqual([]);
  });
});

describe('other modalities', () => {
  const MR = { normalise: 'zscore', size: SIZE } as const;
  const store = at('mr');
  const model = at('encoder/encoder.onnx');

  beforeAll(async () => {
    const input = [await scan('mr-0.mha', (u) => 700 + 90 * bell(u)), await scan('mr-1.mha', (u) => 5 * u)];
    await prepare({ input, out: store, ...MR, valFraction: 0.5 });
    await pretrain({
      data: store,
      out: at('run'),
      config: {
        whole: [16, 8, 8],
        network: { levels: 2, width: 2 },
        batch: 4,
        threads: 1,
        workers: 0,
        steps: 2,
      },
    });
    await exportModel({ run: at('run'), out: at('encoder') });
    mkdirSync(at('ct'));
    await sampleStore(at('ct'));
  }, 60_000);

  test.each([
    ['zscore', [-1732, 1732]],
    ['minmax', [0, 1000]],
  ] as const)('are stored in thousandths: %s', async (normalise, [least, most]) => {
    const { out } = await run(at('mr-1.mha'), { normalise });
    const tiles = openTileStore(out);
    const values = tiles.train.flatMap((tile) => [...readTile(tiles, tile)]);
    // Of numbers spread evenly over an interval.
    expect(Math.abs(Math.min(...values) - least)).toBeLessThan(20);
    expect(Math.abs(Math.max(...values) - most)).toBeLessThan(20);
    expect(tiles.manifest.options.normalise).toBe(normalise);
  });

  test('voxels that are no numbers do not count', async () => {
    const { out, scans } = await run(await scan('mr-nan.mha', (u, i) => (i === 0 ? Number.NaN : 5 * u)), {
      normalise: 'minmax',
    });
    expect(scans[0]).toMatchObject({ nonFinite: 1 });
    const tiles = openTileStore(out);
    const [first, ...others] = tiles.train.flatMap((tile) => [...readTile(tiles, tile)]);
    expect([first, Math.min(...others), Math.max(...others)]).toEqual([-32768, 0, 1000]);
  });

  test('are not rejected by their HU', async () => {
    await expect(run(at('mr-1.mha'), { normalise: 'minmax', reject: 'air' })).rejects.toThrow(/reject/);
  });

  test('the window follows the tiles, unless it is given', async () => {
    expect(readRun(at('run')).config).toMatchObject({
      normalise: 'zscore',
      window: { low: -3000, high: 5000 },
    });
    const other = { data: store, out: at('other'), config: { steps: 1 } };
    await expect(pretrain({ ...other, config: { normalise: 'hu' } })).rejects.toThrow(
      /tiles with normalise zscore, configuration with hu/,
    );
  });

  test('model and model card say what values they take', () => {
    const { graph, metadata } = decodeModel(readFileSync(model));
    expect(graph.inputs.map(({ name }) => name)).toEqual(['image']);
    expect(metadata).toMatchObject({ normalise: 'zscore', window: '{"low":-3000,"high":5000}' });
    expect(metadata.preprocessing).toMatch(
      /^outside the model: 1000 · \(value − mean\).*inside the model: clipped to \[-3000, 5000\]/,
    );
    const card = readFileSync(at('encoder/model-card.md'), 'utf8');
    expect(card).toMatch(/`image`.*thousandths of a standard deviation/);
    expect(card).toMatch(/outside the model: 1000 · \(value − mean\) \/ standard deviation/);
    expect(card).not.toMatch(/Hounsfield|HU/);
  });

  test('a scan gets the features of its tiles, and tiles of CT are refused', async () => {
    const features = async (input: string) => {
      const out = at('features.jsonl');
      await embed({ model, input: [input], out, per: 'window', threads: 1 });
      const rows = readFileSync(out, 'utf8').trimEnd().split('\n');
      return rows.map((row) => JSON.parse(row) as { source: string; features: number[] });
    };
    const ofStore = (await features(store)).filter(({ source }) => source === 'mr-0');
    const ofScan = await features(at('mr-0.mha'));
    expect(ofScan).toHaveLength(12);
    expect(ofScan.map((row) => row.features)).toEqual(ofStore.map((row) => row.features));
    await expect(features(at('ct'))).rejects.toThrow(/none of the inputs/);
    const wanted = { data: at('ct'), out: at('analysis'), parts: 4, wholes: 2, pairWholes: 2, pairParts: 2 };
    await expect(analyze({ ...wanted, models: [{ path: model }] })).rejects.toThrow(
      /normalise hu[\s\S]*expected: normalise zscore/,
    );
  });

  test('a classifier on its features needs samples that were normalised alike', async () => {
    const format = { channels: 1, size: SIZE, samples: [] };
    const on = (values: object) =>
      externalFeatures(
        model,
        { manifest: { ...format, ...values } } as unknown as SampleStore,
        nodeEngine,
        1,
      );
    await expect(on({ type: 'int16', window: { low: -1000, high: 1000 } })).rejects.toThrow(
      /samples with --normalise hu[\s\S]*expected: zscore/,
    );
    await expect(on({ type: 'float32', window: null })).rejects.toThrow(/samples with --normalise minmax/);
  });

  test('an encoder of values that nobody knows here is refused', async () => {
    const bytes = readFileSync(model);
    const encoder = openEncoder(model, nodeEngine);
    expect(encoder).toMatchObject({ normalise: 'zscore', window: { low: -3000, high: 5000 } });
    await encoder.release();
    writeFileSync(
      at('odd.onnx'),
      Buffer.from(bytes.toString('latin1').replace('zscore', 'zscorf'), 'latin1'),
    );
    expect(() => openEncoder(at('odd.onnx'), nodeEngine)).toThrow(/does not know[\s\S]*zscorf/);
  });
});
