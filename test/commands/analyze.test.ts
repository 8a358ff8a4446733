import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { principalComponents, umap } from '../../src/analysis/embedding.js';
import { tsne } from '../../src/analysis/tsne.js';
import { analyze } from '../../src/commands/analyze.js';
import { exportModel } from '../../src/commands/export.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { loadParts } from '../../src/data/proxies/parts2whole/part-batch.js';
import { samplePart } from '../../src/data/proxies/parts2whole/parts.js';
import { resizedPart } from '../../src/data/proxies/parts2whole/resized-part.js';
import { repeatVoxels } from '../../src/data/store/block-mean.js';
import { openTileStore, readTile, tilesOf } from '../../src/data/store/tiles.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { randomStream } from '../../src/random.js';
import { resolveCheckpoint } from '../../src/runs/checkpoint.js';
import { readRun } from '../../src/runs/run.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createFeatureExtractor } from '../../src/train/evaluator.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w } from './cli.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

describe('maps of features', () => {
  const random = randomStream(1, 'clusters');
  const labels = Array.from({ length: 90 }, (_, i) => i % 3);
  const points = labels.map((label) =>
    Array.from({ length: 12 }, (_, axis) => (axis % 3 === label ? 4 : 0) + 0.3 * random.normal()),
  );
  /** Share of points whose nearest neighbour has their label. */
  const purity = (places: readonly (readonly [number, number])[]) => {
    const hits = places.filter(([x, y], i) => {
      const distance = ([u, v]: readonly [number, number], j: number) =>
        j === i ? Number.POSITIVE_INFINITY : Math.hypot(u - x, v - y);
      const distances = places.map(distance);
      return labels[distances.indexOf(Math.min(...distances))] === labels[i];
    });
    return hits.length / places.length;
  };

  test('groups stay apart, and the same features give the same map', () => {
    const components = principalComponents(points);
    expect(purity(tsne(components))).toBe(1);
    expect(purity(umap(components, 1))).toBe(1);
    expect(tsne(components)).toEqual(tsne(components));
    expect(umap(components, 1)).toEqual(umap(components, 1));
    expect(umap(components, 2)).not.toEqual(umap(components, 1));
  });

  test('principal components keep distances, longest axis first', () => {
    const components = principalComponents(points);
    expect(components[0]).toHaveLength(12);
    const distance = (rows: readonly (readonly number[])[], a: number, b: number) =>
      Math.hypot(...rows[a]!.map((value, i) => value - rows[b]![i]!));
    for (let i = 1; i < 90; i++) expect(distance(components, 0, i)).toBeCloseTo(distance(points, 0, i), 8);
    const deviation = (axis: number) => Math.hypot(...components.map((row) => row[axis]!));
    for (let axis = 1; axis < 12; axis++) expect(deviation(axis)).toBeLessThanOrEqual(deviation(axis - 1));
    expect(() => principalComponents([[1, Number.NaN]])).toThrow('a feature is not a finite number');
  });
});

describe('analyze', () => {
  const SETTINGS = [
    'network.levels=2',
    'network.width=2',
    'batch=4',
    'threads=1',
    'workers=0',
    'window.high=400',
  ];

  beforeAll(async () => {
    await sampleStore(at('tiles'));
    for (const [name, whole] of [
      ['same', '16x8x8'],
      ['half', '8x4x4'],
    ] as const) {
      const settings = [...SETTINGS, `whole=${whole}`];
      await pretrain({
        data: at('tiles'),
        out: at(`run-${name}`),
        config: fromSettings(settings, { steps: 2 }),
      });
      await exportModel({ run: at(`run-${name}`), out: at(name) });
    }
  });

  test.each(['same', 'half'])('parts reach the encoder as in training (%s size)', async (name) => {
    const store = openTileStore(at('tiles'));
    const { config } = readRun(at(`run-${name}`));
    const samples = [0, 1, 2, 3].map((tile) => ({
      tile,
      part: samplePart(randomStream(tile, 'part'), store.size, config.part),
    }));
    const extractor = await createFeatureExtractor(config, store.size, nodeEngine);
    const { tensors } = resolveCheckpoint(at(`run-${name}`), 'best');
    const options = { wholeSize: config.whole, part: config.part };
    const expected = await extractor.features(
      loadParts(tilesOf(store, 'validation'), options, samples, 0),
      tensors,
    );
    await extractor.release();

    const encoder = openEncoder(at(`${name}/encoder.onnx`), nodeEngine, 1);
    const factor = name === 'half' ? 2 : 1;
    for (const [i, { tile, part }] of samples.entries()) {
      const voxels = readTile(store, store.validation[tile]!);
      const resized = resizedPart({ voxels, size: store.size }, part, config.whole, config.window);
      const image = repeatVoxels(resized, config.whole, [factor, factor, factor]);
      const { features, dimensions } = await encoder.encode(image, [1, 8, 8, 16]);
      for (let c = 0; c < dimensions; c++) expect(features[c]).toBeCloseTo(expected[i * dimensions + c]!, 4);
    }
    await encoder.release();
  });

  test('compares encoders side by side, with pictures and numbers', async () => {
    const args = ['--wholes', '3', '--parts', '12', '--pair-wholes', '4', '--pair-parts', '4'];
    const models = ['--model', at('same/encoder.onnx'), at('half/encoder.onnx')];
    const done = await p2w([
      'analyze',
      ...models,
      '--data',
      at('tiles'),
      '--out',
      at('out'),
      ...args,
      '--json',
    ]);
    expect(done.code, done.stderr).toBe(0);
    const { encoders, files } = lastJson(done);
    expect(encoders).toMatchObject([{ name: 'same' }, { name: 'half' }]);
    for (const { cosineAuc, silhouette, nearestNeighbour, contrastiveLoss } of encoders) {
      expect(cosineAuc).toBeGreaterThan(0);
      expect(silhouette).toBeGreaterThanOrEqual(-1);
      expect(nearestNeighbour).toBeLessThanOrEqual(1);
      expect(contrastiveLoss).toBeGreaterThan(7);
    }
    const page = readFileSync(files.page, 'utf8');
    expect(page.match(/<circle /g)!.length).toBeGreaterThanOrEqual(2 * 2 * 36);
    const points = readFileSync(files.points, 'utf8').trimEnd().split('\n');
    expect(points).toHaveLength(1 + 2 * 3 * 13);
    expect(existsSync(at('out/tsne-half.svg'))).toBe(true);

    await p2wHere(['analyze', ...models, '--data', at('tiles'), '--out', at('again'), ...args]);
    expect(readFileSync(at('again/points.csv'), 'utf8')).toBe(readFileSync(files.points, 'utf8'));
  });

  test('an encoder that knows wholes by their brightness tells them apart', async () => {
    // Every tile has a grey of its own; features are the mean and a constant.
    await sampleStore(at('greys'), (size, seed) => ({
      ...noiseVolume(size, seed),
      voxels: Int16Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => {
        const [x, y, z] = [i % size[0], Math.floor(i / size[0]) % size[1], Math.floor(i / size[0] / size[1])];
        return -880 + 160 * ((x >> 4) + 2 * ((y >> 3) + 3 * (z >> 3)));
      }),
    }));
    const g = new GraphBuilder('brightness');
    const hu = g.input('hu', 'float32', ['N', 'D', 'H', 'W']);
    const mean = g.reshape(g.mean(hu, [1, 2, 3]), [-1, 1]);
    const constant = g.add('Add', [g.add('Mul', [mean, g.scalar(0)]), g.scalar(1000)]);
    g.output('features', g.add('Concat', [mean, constant], { axis: 1 }));
    writeFileSync(at('brightness.onnx'), encodeModel(toModel(g.build())));
    const options = { wholes: 4, parts: 8, pairWholes: 12, pairParts: 4, seed: 2 };
    const models = [{ path: at('brightness.onnx'), name: 'brightness' }];
    const { encoders, files } = await analyze({ models, data: at('greys'), out: at('grey-out'), ...options });
    expect(encoders[0]).toMatchObject({ nearestNeighbour: 1, cosineAuc: 1 });
    expect(encoders[0]!.overlap).toBeLessThan(0.3);
    expect(encoders[0]!.silhouette).toBeCloseTo(1, 3);
    expect(encoders[0]!.dPrime).toBeGreaterThan(1);

    // Parts of one whole are one place, and those of two are not.
    const [head, ...rows] = readFileSync(files.points, 'utf8').trimEnd().split('\n');
    const column = (name: string) => head!.split(',').indexOf(name);
    const scales = rows.map((row) => Number(row.split(',')[column('scale')]));
    expect(scales.filter((scale) => scale === 1)).toHaveLength(4);
    expect(Math.min(...scales)).toBeGreaterThan(0.02);
    expect(new Set(rows.map((row) => row.split(',')[column('whole')])).size).toBe(4);
    expect(JSON.parse(readFileSync(files.json, 'utf8'))).toMatchObject({
      encoders,
      embedded: { wholes: 4, parts: 8 },
      paired: { wholes: 12, parts: 4 },
    });
    const [columns, values] = readFileSync(files.csv, 'utf8').trimEnd().split('\n');
    expect(Object.fromEntries(columns!.split(',').map((name, i) => [name, values!.split(',')[i]]))).toEqual(
      Object.fromEntries(Object.entries(encoders[0]!).map(([name, value]) => [name, String(value)])),
    );
  });

  test('what cannot be compared is refused', async () => {
    const run = (...args: string[]) => p2wHere(['analyze', '--data', at('tiles'), '--out', at('x'), ...args]);
    const model = at('same/encoder.onnx');
    expect((await run('--model', model, model)).stderr).toContain('two models have the same name');
    expect((await run('--model', model, '--wholes', '1')).stderr).toContain(
      'wholes: this must be an integer of at least 2',
    );
    expect((await run('--model', at('tiles/manifest.json'))).code).toBe(1);
    expect((await run('--model', model, '--name', 'a', 'b')).stderr).toContain('each model needs a name');
  });
});
