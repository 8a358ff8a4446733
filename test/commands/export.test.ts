import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as web from 'onnxruntime-web';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { type EmbedOptions, embed } from '../../src/commands/embed.js';
import { exportModel } from '../../src/commands/export.js';
import { modelCard } from '../../src/commands/model-card.js';
import { writePhantoms } from '../../src/commands/phantom.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { clippedAverage } from '../../src/data/store/block-mean.js';
import { openTileStore } from '../../src/data/store/tiles.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { randomStream } from '../../src/random.js';
import { resolveCheckpoint } from '../../src/runs/checkpoint.js';
import { readRun } from '../../src/runs/run.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { genesisName } from '../../src/weights/genesis-names.js';
import { readSafetensors } from '../../src/weights/safetensors-file.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { relativeError } from '../graphs/run.js';

const folder = temporaryFolder();
const [data, run, out] = ['tiles', 'run', 'encoder'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const SETTINGS = [
  'whole=16x8x8',
  'network.levels=2',
  'network.width=2',
  'batch=4',
  'threads=1',
  'workers=0',
  'validation.every=10',
];

/** Noise in HU, [N, D, H, W]. */
const hu = (n: number, [x, y, z]: XYZ): Int16Array => {
  const random = randomStream(1, 'hu', n, x);
  return Int16Array.from({ length: n * x * y * z }, () => random.between(-1500, 1500));
};

async function featuresOf(model: Uint8Array, n: number, [x, y, z]: XYZ, type: 'float32' | 'int16') {
  const session = await nodeEngine.load(model, { threads: 1 });
  const values = hu(n, [x, y, z]);
  const input = { type, shape: [n, z, y, x], data: type === 'int16' ? values : Float32Array.from(values) };
  const result = await session.run({ hu: input });
  await session.release();
  return result;
}

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  await pretrain({ data, out: run, config: fromSettings(SETTINGS, { steps: 20 }) });
  await exportModel({ run, out, license: 'CC0' });
});

describe('an exported encoder', () => {
  const model = () => readFileSync(join(out, 'encoder.onnx'));

  test('takes any batch and any size that the poolings divide', async () => {
    for (const [n, size] of [
      [1, [16, 8, 8]],
      [3, [8, 12, 16]],
    ] as const) {
      const { features, feature_map } = await featuresOf(model(), n, size, 'float32');
      expect(features!.shape).toEqual([n, 16]);
      expect(feature_map!.shape).toEqual([n, 16, size[2] / 4, size[1] / 4, size[0] / 4]);
      const voxels = (size[0] * size[1] * size[2]) / 64;
      const mean = Array.from(features!.data as Float32Array, (_, i) => {
        const map = (feature_map!.data as Float32Array).subarray(i * voxels, (i + 1) * voxels);
        return map.reduce((a, b) => a + b, 0) / voxels;
      });
      expect(relativeError(features!.data as Float32Array, mean)).toBeLessThan(1e-5);
    }
  });

  test('gives the same features for int16 HU as for floats', async () => {
    const summary = await exportModel({ run, out: join(folder, 'int16'), inputType: 'int16' });
    expect(summary.featureError).toBeLessThan(1e-4);
    const [a, b] = [
      await featuresOf(readFileSync(summary.model), 2, [16, 8, 8], 'int16'),
      await featuresOf(model(), 2, [16, 8, 8], 'float32'),
    ];
    expect(relativeError(a.features!.data as Float32Array, b.features!.data as Float32Array)).toBeLessThan(
      1e-6,
    );
  });

  test('gives the same features in onnxruntime-web', async () => {
    web.env.wasm.numThreads = 1;
    const session = await web.InferenceSession.create(model());
    const input = new web.Tensor('float32', Float32Array.from(hu(2, [16, 8, 8])), [2, 8, 8, 16]);
    const { features } = await session.run({ hu: input });
    const expected = await featuresOf(model(), 2, [16, 8, 8], 'float32');
    expect(
      relativeError(features!.data as Float32Array, expected.features!.data as Float32Array),
    ).toBeLessThan(1e-5);
    await session.release();
  });

  test('is made of standard operators only, with BatchNorm folded', () => {
    const { graph, opsets } = decodeModel(model());
    expect(Object.keys(opsets)).toEqual(['']);
    expect(new Set(graph.nodes.map((n) => n.operator))).toEqual(
      new Set([
        'Clip',
        'Sub',
        'Mul',
        'Unsqueeze',
        'Conv',
        'Relu',
        'MaxPool',
        'GlobalAveragePool',
        'Squeeze',
        'Identity',
      ]),
    );
  });

  test('says what it is', () => {
    const { metadata } = decodeModel(model());
    expect(metadata).toMatchObject({
      preset: 'tiny',
      whole_size: '16x8x8',
      size_multiple: '4x4x4',
      license: 'CC0',
      intended_use: 'research; not a medical device',
    });
    expect(metadata.method).toContain('Parts2Whole');
    expect(metadata.data_manifest_sha256).toMatch(/^[0-9a-f]{64}$/);
    const card = readFileSync(join(out, 'model-card.md'), 'utf8');
    expect(card).toContain('Not a medical device');
    expect(card).toContain('patents are pending');
    const { train } = openTileStore(data);
    const scans = new Set(train.map(({ scan }) => scan.id)).size;
    expect(card).toContain(`| training data | ${train.length} tiles of ${scans} scans,`);
  });

  test('has a card that counts tiles, not the pairs of parts that are contrasted', () => {
    const { config } = readRun(run);
    const { state } = resolveCheckpoint(run, 'best');
    const { metadata } = decodeModel(model());
    const facts = { metadata, what: 'encoder', inputType: 'float32', featureError: 0, sha256: '' } as const;
    for (const weight of [0, 0.1]) {
      const contrasted = { ...config, contrastive: { ...config.contrastive, weight } };
      const given = { ...facts, config: contrasted, state: { ...state, samples: 20 }, precision: null };
      expect(modelCard({ ...given, scans: 3 })).toContain('| training data | 20 tiles of 3 scans, which are');
      expect(modelCard({ ...given, scans: null })).toContain('| training data | 20 tiles; their scans are');
    }
  });

  test('lies beside its weights, with names for Models Genesis', () => {
    const { tensors, metadata } = readSafetensors(join(out, 'weights.safetensors'));
    expect(tensors.get('encoder.0.conv1.weight')!.shape).toEqual([2, 1, 3, 3, 3]);
    expect([...tensors.keys()].some((name) => name.startsWith('optimizer'))).toBe(false);
    const names = JSON.parse(metadata.models_genesis_names!) as Record<string, string>;
    expect(Object.keys(names).sort()).toEqual([...tensors.keys()].sort());
    expect(names['encoder.1.norm2.running_var']).toBe('down_tr128.ops.1.bn1.running_var');
  });
});

test('an encoder that was trained on averaged tiles takes tiles, and averages clipped HU itself', async () => {
  const [halved, target] = [join(folder, 'halved-run'), join(folder, 'halved')];
  await pretrain({ data, out: halved, config: fromSettings([...SETTINGS, 'whole=8x4x4'], { steps: 2 }) });
  const { model, featureError } = await exportModel({ run: halved, out: target, inputType: 'int16' });
  expect(featureError).toBeLessThan(1e-4);
  expect(decodeModel(readFileSync(model)).metadata).toMatchObject({
    average: '2x2x2',
    size_multiple: '8x8x8',
  });
  expect(readFileSync(join(target, 'model-card.md'), 'utf8')).toContain(
    'averaged over blocks of 2×2×2 voxels',
  );

  const encoder = openEncoder(model, nodeEngine);
  const size = [16, 8, 8] as const;
  const tile = hu(1, size);
  const averaged = clippedAverage(tile, size, [2, 2, 2], { low: -1000, high: 1000 });
  // HU that are whole after averaging, so that int16 holds them.
  const whole = averaged.map(Math.round);
  const repeated = tile.map((_, i) => {
    const [x, y, z] = [i % 16, Math.floor(i / 16) % 8, Math.floor(i / 128)];
    return whole[(Math.floor(z / 2) * 4 + Math.floor(y / 2)) * 8 + Math.floor(x / 2)]!;
  });
  const [a, b] = [await encoder.encode(tile, [1, 8, 8, 16]), await encoder.encode(repeated, [1, 8, 8, 16])];
  await encoder.release();
  // Rounding moves HU by half a unit of 2,000.
  expect(relativeError(a.features, b.features)).toBeLessThan(1e-2);
  expect(a.features).not.toEqual(b.features);
  expect(await embed({ model, input: [data], out: join(folder, 'halved.npy') })).toMatchObject({ rows: 24 });
});

test('the autoencoder gives a reconstruction in [0, 1]', async () => {
  const { model } = await exportModel({
    run,
    out: join(folder, 'autoencoder'),
    what: 'autoencoder',
    checkpoint: 'last',
  });
  const { reconstruction } = await featuresOf(readFileSync(model), 2, [16, 8, 8], 'float32');
  expect(reconstruction!.shape).toEqual([2, 1, 8, 8, 16]);
  expect((reconstruction!.data as Float32Array).every((v) => v >= 0 && v <= 1)).toBe(true);
});

test.each([
  ['encoder.0.conv1.weight', 'down_tr64.ops.0.conv1.weight'],
  ['encoder.3.norm2.bias', 'down_tr512.ops.1.bn1.bias'],
  ['decoder.2.up.weight', 'up_tr256.up_conv.weight'],
  ['decoder.0.conv2.bias', 'up_tr64.ops.1.conv1.bias'],
  ['head.weight', 'out_tr.final_conv.weight'],
  ['encoder.4.conv1.weight', undefined],
])('%s is %s in Models Genesis', (own, theirs) => {
  expect(genesisName(own)).toBe(theirs);
});

describe('export refuses', () => {
  test('a folder without a run, and a checkpoint that is not there, naming those that are', async () => {
    await expect(exportModel({ run: folder, out: join(folder, 'x') })).rejects.toThrow(
      /does not contain a run/,
    );
    await expect(exportModel({ run, out: join(folder, 'x'), checkpoint: 12345 })).rejects.toThrow(
      /best, last, or one of the steps 0, 1,/,
    );
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  test('a folder with the export of another run, unless told to overwrite it', async () => {
    const [other, target] = [join(folder, 'other-run'), join(folder, 'kept')];
    await pretrain({ data, out: other, config: fromSettings(SETTINGS, { steps: 2, seed: 2 }) });
    await exportModel({ run, out: target });
    const files = () => readdirSync(target).map((name) => readFileSync(join(target, name), 'latin1'));
    const before = files();
    await expect(exportModel({ run: other, out: target })).rejects.toThrow(
      /export of another run[\s\S]*encoder\.onnx[\s\S]*--overwrite/,
    );
    expect(files()).toEqual(before);
    await exportModel({ run, out: target, checkpoint: 'last', inputType: 'int16' });
    await exportModel({ run: other, out: target, overwrite: true });
    await expect(exportModel({ run, out: target })).rejects.toThrow(/export of another run/);
  });

  test('a network that is evaluated with batch statistics', async () => {
    const batch = join(folder, 'batch-run');
    await pretrain({
      data,
      out: batch,
      config: fromSettings([...SETTINGS, 'network.norm.evalStatistics="batch"'], { steps: 2 }),
    });
    await expect(exportModel({ run: batch, out: join(folder, 'x') })).rejects.toThrow(
      /batch statistics cannot be exported/,
    );
  });
});

describe('embed', () => {
  test('gives a row a tile, the same in every format', async () => {
    const { parquetReadObjects } = await import('hyparquet');
    const [npy, jsonl, parquet] = ['npy', 'jsonl', 'parquet'].map((e) => join(folder, `features.${e}`)) as [
      string,
      string,
      string,
    ];
    for (const file of [npy, jsonl, parquet]) {
      const summary = await embed({ model: join(out, 'encoder.onnx'), input: [data], out: file });
      expect(summary).toMatchObject({ rows: 24, dimensions: 16, failures: [] });
    }
    const lines = readFileSync(jsonl, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[1]).toMatchObject({ source: 'scan0', offset: [16, 0, 0], windows: 1 });
    const bytes = readFileSync(npy);
    const array = new Float32Array(
      bytes.buffer.slice(bytes.byteOffset + bytes.length - 24 * 16 * 4, bytes.byteOffset + bytes.length),
    );
    expect([...array.subarray(16, 32)]).toEqual(lines[1].features);
    const file = readFileSync(parquet);
    const rows = await parquetReadObjects({
      file: file.buffer.slice(file.byteOffset, file.byteOffset + file.length),
    });
    expect(rows[1]).toMatchObject({ source: 'scan0', x: 16, y: 0, z: 0, windows: 1 });
    expect(Array.from(rows[1]!.features as number[])).toEqual(lines[1].features);
  });

  test('averages over the tiles of a scan when asked to', async () => {
    const file = join(folder, 'scans.jsonl');
    expect(
      await embed({ model: join(out, 'encoder.onnx'), input: [data], out: file, per: 'scan' }),
    ).toMatchObject({ rows: 2 });
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => [line.source, line.windows, line.offset])).toEqual([
      ['scan0', 12, null],
      ['scan1', 12, null],
    ]);
    const tiles = join(folder, 'tiles.jsonl');
    await embed({ model: join(out, 'encoder.onnx'), input: [data], out: tiles });
    const second = readFileSync(tiles, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ source }) => source === 'scan1');
    for (const [c, value] of lines[1].features.entries())
      expect(value).toBeCloseTo(second.reduce((sum, { features }) => sum + features[c], 0) / 12, 5);
  });

  test('says once, before it reads scans, that a size does not suit the model', async () => {
    const scans = join(folder, 'two-scans');
    await writePhantoms({ out: scans, scans: 2, size: [24, 24, 24], seed: 1, format: 'mhd' });
    const options = { model: join(out, 'encoder.onnx'), input: [join(scans, 'scans')] };
    const features = join(folder, 'sized.npy');
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      await expect(embed({ ...options, window: [18, 8, 8], out: features })).rejects.toThrow(
        /poolings[\s\S]*18×8×8[\s\S]*multiples of 4, 4, 4/,
      );
      await expect(embed({ ...options, window: [8e5, 8e5, 8e5], out: features })).rejects.toThrow(/memory/);
      expect(said).not.toHaveBeenCalled();
    } finally {
      said.mockRestore();
    }
    mkdirSync(join(folder, 'folder.npy'));
    await expect(embed({ ...options, out: join(folder, 'folder.npy') })).rejects.toThrow(/is a folder/);
    expect(await embed({ ...options, window: [16, 8, 8], out: features })).toMatchObject({ rows: 2 });
  });

  test('scans are turned to LPS and cut like tiles, those of air too', async () => {
    const rowsOf = async (input: string, more: Partial<EmbedOptions> = {}) => {
      const file = join(folder, 'of-scan.jsonl');
      await embed({ model: join(out, 'encoder.onnx'), input: [input], out: file, per: 'window', ...more });
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
      return lines.map((line): { source: string; offset: number[]; features: number[] } => JSON.parse(line));
    };
    const stored = (await rowsOf(data)).filter(({ source }) => source === 'scan0');
    // The volume of scan0, with x the other way round on disk.
    const volume = noiseVolume([32, 24, 16], 0);
    const mirrored = volume.voxels.map((_, i) => volume.voxels[i - (i % 32) + 31 - (i % 32)]!);
    const scan = join(folder, 'mirrored.nii');
    await writeNifti(scan, {
      ...volume,
      voxels: mirrored,
      origin: [31, 0, 0],
      direction: [-1, 0, 0, 0, 1, 0, 0, 0, 1],
    });
    const cut = await rowsOf(scan);
    expect(cut.map(({ offset }) => offset)).toEqual(stored.map(({ offset }) => offset));
    for (const [i, { features }] of cut.entries())
      for (const [c, value] of features.entries()) expect(value).toBeCloseTo(stored[i]!.features[c]!, 5);

    const air = join(folder, 'air.nii');
    await writeNifti(air, { ...volume, voxels: volume.voxels.map(() => -1000) });
    expect(await rowsOf(air)).toHaveLength(12);
    expect((await rowsOf(air, { window: [32, 24, 16] })).map(({ offset }) => offset)).toEqual([[0, 0, 0]]);
  });

  test('refuses a file of an unknown kind, and a model that is no encoder, in words', async () => {
    await expect(
      embed({ model: join(out, 'encoder.onnx'), input: [data], out: join(folder, 'x.csv') }),
    ).rejects.toThrow(/\.npy, \.jsonl, \.parquet/);
    await expect(
      embed({ model: join(out, 'model-card.md'), input: [data], out: join(folder, 'x.npy') }),
    ).rejects.toThrow(/not an ONNX model/);
  });
});
