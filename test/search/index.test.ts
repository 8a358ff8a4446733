import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { UserError } from '../../src/errors.js';
import { randomStream } from '../../src/random.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { buildIndex, type IndexOptions } from '../../src/search/build-index.js';
import type { FeatureRow } from '../../src/search/feature-row.js';
import { type Hit, openIndex, queryIndex } from '../../src/search/open-index.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const DIMENSIONS = 10;

/** Rows around some centres, far from the origin, as features after a ReLU are; four of each scan. */
function clustered(count: number, centres: number): FeatureRow[] {
  const random = randomStream(1, 'rows');
  const middles = Array.from({ length: centres }, () =>
    Array.from({ length: DIMENSIONS }, () => 100 + random.normal()),
  );
  return Array.from({ length: count }, (_, i): FeatureRow => {
    const features = Float32Array.from(middles[i % centres]!, (value) => value + 0.3 * random.normal());
    const scan = `scan ${Math.floor(i / 4)}`;
    return { source: scan, offset: [i, 2, -3], centre: [i + 0.5, -1.25, 7], windows: 1, features };
  });
}

const OPTIONS: IndexOptions = {
  model: { path: '/models/encoder.onnx', sha256: 'a'.repeat(64) },
  window: [16, 16, 8],
  recall: 0.9,
  threads: 1,
};
const build = async (name: string, rows: FeatureRow[], options: Partial<IndexOptions> = {}) => {
  const path = join(folder, name);
  await buildIndex(path, rows, { ...OPTIONS, ...options }, nodeEngine);
  return openIndex(path);
};

/** Cosines of vectors less the mean of all rows, by the definition. */
function nearestByDefinition(rows: readonly FeatureRow[], query: Float32Array, k: number) {
  const mean = Array.from({ length: DIMENSIONS }, (_, i) =>
    rows.reduce((sum, { features }) => sum + features[i]! / rows.length, 0),
  );
  const less = (vector: Float32Array) => Array.from(vector, (value, i) => value - mean[i]!);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const q = less(query);
  return rows
    .map((row) => {
      const v = less(row.features);
      return { row, score: dot(q, v) / Math.sqrt(dot(q, q) * dot(v, v)) };
    })
    .sort((a, b) => b.score - a.score)
    .slice(0, k);
}

const offsetsOf = (hits: readonly Pick<Hit, 'offset'>[]) => hits.map(({ offset }) => offset![0]);

describe('a small index', () => {
  const rows = clustered(200, 7);

  test('gives the rows with the highest cosines, and all that is known of them', async () => {
    const index = await build('exact', rows, { paths: new Map([['scan 0', '/scans/0.nii']]) });
    expect(index.manifest).toMatchObject({ lists: [200], probes: 1, recall: 1 });
    for (const [i, { features }] of rows.slice(0, 20).entries()) {
      const k = [1, 5, 150][i % 3]!;
      const expected = nearestByDefinition(rows, features, k);
      const hits = queryIndex(index, features, { k });
      expect(offsetsOf(hits)).toEqual(offsetsOf(expected.map(({ row }) => row)));
      for (const [i, { score }] of hits.entries()) expect(score).toBeCloseTo(expected[i]!.score, 4);
    }
    const [first] = queryIndex(index, rows[0]!.features, { k: 1 });
    expect(first).toMatchObject({
      ...{ source: 'scan 0', path: '/scans/0.nii', windows: 1 },
      ...{ offset: [0, 2, -3], centre: [0.5, -1.25, 7] },
    });
  });

  test('leaves out the rows of one scan, and finds as many of others', async () => {
    const index = await build('without', rows);
    const hits = queryIndex(index, rows[9]!.features, { k: 6, without: 'scan 2' });
    const others = rows.filter(({ source }) => source !== 'scan 2');
    const expected = nearestByDefinition(rows, rows[9]!.features, rows.length)
      .map(({ row }) => row)
      .filter((row) => others.includes(row));
    expect(offsetsOf(hits)).toEqual(offsetsOf(expected.slice(0, 6)));
  });

  test('gives all rows, where more are wanted than there are', async () => {
    const whole = rows.slice(0, 3).map((row) => ({ ...row, offset: null, centre: null }));
    const hits = queryIndex(await build('three', whole), rows[0]!.features, { k: 10 });
    expect(hits).toHaveLength(3);
    expect(hits[0]).toMatchObject({ offset: null, centre: null, path: null });
  });

  test.each([
    ['a vector of another length', new Float32Array(9), 10, /another length/],
    ['a vector that is not finite', new Float32Array(DIMENSIONS).fill(Number.NaN), 10, /not a finite number/],
    ['no neighbour', rows[0]!.features, 0, /at least 1/],
  ])('refuses %s', async (_, vector, k, message) => {
    const index = await build('refusing', rows);
    expect(() => queryIndex(index, vector, { k })).toThrow(message);
  });

  test.each([-1, 200, 0.5, Number.NaN])('has no row %d, and no such list', async (number) => {
    const index = await build('rows', rows);
    const usage = (where: string) =>
      expect.objectContaining({
        kind: 'usage',
        facts: expect.objectContaining({ where, got: String(number) }),
      });
    expect(() => index.readVector(number)).toThrow(usage('row'));
    expect(() => index.placeOf(number)).toThrow(usage('row'));
    expect(() => index.readList(number)).toThrow(usage('list'));
    expect(index.placeOf(199).source).toBe('scan 49');
    expect(index.readVector(199)).toHaveLength(DIMENSIONS);
  });

  test('is not made of vectors of several lengths, of infinite ones, or of none', async () => {
    const other = { ...rows[0]!, source: 'odd', features: new Float32Array(3) };
    await expect(build('mixed', [...rows, other])).rejects.toThrow(/odd[\s\S]*same length/);
    const infinite = { ...rows[0]!, features: new Float32Array(DIMENSIONS).fill(Number.POSITIVE_INFINITY) };
    await expect(build('infinite', [...rows, infinite])).rejects.toThrow(/not a finite number/);
    const none = { ...infinite, source: 'odd', features: new Float32Array(DIMENSIONS).fill(Number.NaN) };
    await expect(build('none', [...rows, none])).rejects.toMatchObject({ facts: { where: 'odd' } });
    await expect(build('empty', [])).rejects.toThrow(/no vectors/);
  });
});

describe('a large index', () => {
  test('looks at some lists only, and finds the share of neighbours that was wanted', async () => {
    const rows = clustered(3000, 40);
    const exact = await build('all', rows);
    const index = await build('lists', rows, { exactValues: 0 });
    const { lists, probes, recall } = index.manifest;
    expect(lists).toHaveLength(55);
    expect(probes).toBeLessThan(55);
    expect(recall).toBeGreaterThanOrEqual(0.9);
    let found = 0;
    for (const { features } of clustered(3200, 40).slice(3000)) {
      const expected = offsetsOf(queryIndex(exact, features));
      found += offsetsOf(queryIndex(index, features)).filter((row) => expected.includes(row)).length;
    }
    expect(found / 2000).toBeGreaterThan(0.85);
  });

  test('looks at more lists, where the nearest do not have as many rows as are wanted', async () => {
    const rows = clustered(300, 40);
    const index = await build('few in each list', rows, { exactValues: 0 });
    const [{ features }] = rows as [FeatureRow];
    for (const k of [40, 300]) expect(queryIndex(index, features, { k })).toHaveLength(k);
    expect(queryIndex(index, features, { k: 296, without: 'scan 0' })).toHaveLength(296);
  });
});

describe('an index that is not whole', () => {
  const errorOf = (path: string) => {
    try {
      openIndex(path);
    } catch (error) {
      return error as UserError;
    }
    throw new Error('it was opened');
  };

  test('is refused: without its manifest, with a shorter file, or with a manifest that contradicts itself', async () => {
    const path = join(folder, 'broken');
    await build('broken', clustered(20, 2));
    const manifest = join(path, 'index.json');
    const text = readFileSync(manifest, 'utf8');
    for (const [wrong, message] of [
      ['{"format":', /damaged/],
      [text.replace('"version":1', '"version":2'), /different version/],
      [text.replace('"rows":20', '"rows":21'), /damaged/],
      [text.replace('"dimensions":10', '"dimensions":11'), /damaged/],
      [text.replace('"probes":1', '"probes":0'), /damaged[\s\S]*probes/],
    ] as const) {
      writeFileSync(manifest, wrong);
      expect(errorOf(path).message).toMatch(message);
    }
    writeFileSync(manifest, text);
    truncateSync(join(path, 'vectors.npy'), 500);
    expect(errorOf(path)).toMatchObject({ kind: 'data', message: expect.stringMatching(/damaged/) });
    rmSync(manifest);
    expect(errorOf(path).message).toMatch(/contains no index/);
  });
});

test('recall is measured as queries are answered, without the rows of their own scan', async () => {
  // Windows of a scan are near each other, and a little like those of other scans.
  const random = randomStream(5, 'scans');
  const direction = (size: number) => Array.from({ length: DIMENSIONS }, () => size * random.normal());
  const places = Array.from({ length: 20 }, () => direction(0.5));
  const rows = Array.from({ length: 40 }, (_, scan) => {
    const own = direction(1);
    return places.map((place, i): FeatureRow => {
      const features = Float32Array.from(own, (value, d) => value + place[d]! + 0.5 * random.normal());
      return { source: `scan ${scan}`, offset: [i, 0, scan], centre: [i, 0, scan], windows: 1, features };
    });
  }).flat();
  const index = await build('scans', rows, { exactValues: 0, recall: 0.95 });
  expect(index.manifest.lists.length).toBeGreaterThan(10);
  let [found, wanted] = [0, 0];
  for (const row of rows.filter((_, i) => i % 16 === 0)) {
    const truth = nearestByDefinition(rows, row.features, rows.length)
      .map((hit) => hit.row)
      .filter(({ source }) => source !== row.source)
      .slice(0, 10)
      .map(({ offset }) => offset!.join());
    const hits = queryIndex(index, row.features, { k: 10, without: row.source });
    found += hits.filter(({ offset }) => truth.includes(offset!.join())).length;
    wanted += truth.length;
  }
  expect(index.manifest.recall).toBeGreaterThanOrEqual(0.95);
  expect(found / wanted).toBeGreaterThan(0.9);
});
