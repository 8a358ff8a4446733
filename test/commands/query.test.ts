import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { embed } from '../../src/commands/embed.js';
import { evaluate } from '../../src/commands/evaluate.js';
import { writeFeatures } from '../../src/commands/feature-files.js';
import { makeIndex } from '../../src/commands/make-index.js';
import { queryScan } from '../../src/commands/query.js';
import { readFeatures } from '../../src/commands/read-features.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained } from '../inference/models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const model = at('encoder.onnx');
writePretrained(model, 'encoder');
mkdirSync(at('scans'));
const names = ['a', 'b', 'c', 'd'];
for (const [i, name] of names.entries())
  await writeNifti(at('scans', `${name}.nii.gz`), noiseVolume([40, 20, 12], i));
// The same scan in another place is another scan.
copyFileSync(at('scans', 'b.nii.gz'), at('b-again.nii.gz'));

const scans = [at('scans')];
await makeIndex({ model, input: scans, out: at('index'), threads: 1 });
writeFileSync(at('own.html'), '<p>mine</p>');
await makeIndex({ model, input: scans, out: at('regions'), per: 'window', threads: 1 });
const query = (name: string, options: object = {}) =>
  queryScan({ index: at('index'), input: at(name), threads: 1, ...options });

describe('query', () => {
  test('finds the same scan in another place first, and never the scan itself', async () => {
    const { hits } = await query('b-again.nii.gz');
    expect(hits.map(({ source }) => source).sort()).toEqual(names);
    expect(hits[0]).toMatchObject({ source: 'b', path: at('scans', 'b.nii.gz'), windows: 3 * 2 * 2 });
    expect(hits[0]!.score).toBeCloseTo(1, 5);
    expect(hits[0]!.score).toBeLessThanOrEqual(1);
    const own = await query('scans/b.nii.gz');
    expect(own.hits.map(({ source }) => source).sort()).toEqual(['a', 'c', 'd']);
  });

  test('finds the region that a box shows', async () => {
    const region = {
      index: at('regions'),
      box: [
        [16, 4, 4],
        [31, 19, 11],
      ] as const,
      k: 3,
    };
    const { hits } = await query('b-again.nii.gz', region);
    expect(hits).toHaveLength(3);
    expect(hits[0]).toMatchObject({ source: 'b', offset: [16, 4, 4], windows: 1 });
    expect(hits[0]!.score).toBeCloseTo(1, 5);
    expect(hits[0]!.score).toBeLessThanOrEqual(1);
    // A box that is smaller than a window is taken with what surrounds it.
    const small = await query('b-again.nii.gz', {
      ...region,
      box: [
        [20, 8, 6],
        [27, 15, 9],
      ],
    });
    expect(small.hits[0]).toEqual(hits[0]);
  });

  test('tells of its scan until that is done', async () => {
    const done: number[] = [];
    const progress = { update: (count: number) => void done.push(count), log: () => {}, stop: () => {} };
    await query('b-again.nii.gz', { reporter: { log: () => {}, start: () => progress } });
    expect(done[0]).toBe(0);
    expect(done.at(-1)).toBe(1);
  });

  test('shows the query and its hits on a page that needs nothing else, and says what it cannot show', async () => {
    const out = at('pages', 'hits.html');
    renameSync(at('scans', 'd.nii.gz'), at('d.nii.gz'));
    await query('b-again.nii.gz', { out }).finally(() => renameSync(at('d.nii.gz'), at('scans', 'd.nii.gz')));
    const page = readFileSync(out, 'utf8');
    expect(page.match(/src="data:image\/png;base64,/g)).toHaveLength(4);
    expect(page).toMatch(/d\.nii\.gz: no such file/);
    expect(page).not.toMatch(/https?:\/\/|<script/);
  });

  test.each([
    [
      'a box outside of the scan',
      {
        box: [
          [0, 0, 0],
          [40, 5, 5],
        ],
      },
      /0,0,0 to 39,19,11/,
    ],
    [
      'a box whose corners are swapped',
      {
        box: [
          [5, 5, 5],
          [0, 0, 0],
        ],
      },
      /does not lie in the scan/,
    ],
    ['a page of another kind', { out: at('hits.pdf') }, /\.html/],
    ['a page of the user', { out: at('own.html') }, /no result of this command/],
    ['a folder of scans', { input: at('scans') }, /a query is one scan/],
    ['a folder without an index', { index: at('scans') }, /contains no index/],
  ])('refuses %s', async (_, options, message) => {
    await expect(query('b-again.nii.gz', options)).rejects.toThrow(message);
  });

  test('wants the very encoder that the index was made with', async () => {
    const other = at('other.onnx');
    writePretrained(other, 'encoder', { license: 'another' });
    await expect(query('b-again.nii.gz', { model: other })).rejects.toThrow(/not the encoder[\s\S]*SHA-256/);
    renameSync(model, at('moved.onnx'));
    try {
      await expect(query('b-again.nii.gz')).rejects.toThrow(/no longer there[\s\S]*--model/);
      const { hits } = await query('b-again.nii.gz', { model: at('moved.onnx') });
      expect(hits[0]!.source).toBe('b');
    } finally {
      renameSync(at('moved.onnx'), model);
    }
  });

  test('is a command line, in words and in JSON', async () => {
    const line = [
      'query',
      '--index',
      'regions',
      '--input',
      'b-again.nii.gz',
      '-k',
      '2',
      '--box',
      '16,4,4,31,19,11',
    ];
    const { stdout } = await p2wHere(line, folder);
    expect(stdout).toMatch(/^ 1\.0000 {2}b {2}from voxel 16,4,4\n.*\n$/);
    const { stdout: json } = await p2wHere([...line, '--json'], folder);
    expect(JSON.parse(json).hits).toHaveLength(2);
    const bad = await p2wHere([...line.slice(0, -1), '1,2,3'], folder);
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringMatching(/--box: .*six integers/) });
  });
});

describe('index', () => {
  test.each(['parquet', 'jsonl', 'npy'])('of a .%s file of features is that of the scans', async (format) => {
    const features = at(`features.${format}`);
    await embed({ model, input: scans, out: features, per: 'window', threads: 1 });
    const out = at(`of-${format}`);
    expect(await makeIndex({ model, features, out })).toMatchObject({ scans: 4, rows: 48, dimensions: 32 });
    for (const name of ['vectors.npy', 'places.npy', 'mean.npy'])
      expect(readFileSync(join(out, name))).toEqual(readFileSync(at('regions', name)));
    const [hit] = (await query('b-again.nii.gz', { index: out, out: at('features.html') })).hits;
    expect(hit).toMatchObject({ path: null });
    expect(readFileSync(at('features.html'), 'utf8')).toMatch(/made without --input/);
  });

  test('refuses features of other windows, and of another model, which queries would not find', async () => {
    const window = [8, 8, 8] as const;
    const of = async (name: string, per: 'scan' | 'window', options: object, indexOptions: object = {}) => {
      const features = at(`${name}.npy`);
      await embed({ model, input: scans, out: features, per, threads: 1, ...options });
      return makeIndex({
        ...{ model, features, input: scans, out: at(`index-${name}`), threads: 1 },
        ...indexOptions,
      });
    };
    const refused = /another model, of other windows[\s\S]*windows of 16×16×8[\s\S]*give --window/;
    for (const per of ['window', 'scan'] as const) {
      await expect(of(`small-${per}`, per, { window })).rejects.toThrow(refused);
      expect(existsSync(at(`index-small-${per}`))).toBe(false);
      await of(`right-${per}`, per, { window }, { window });
      const { hits } = await query('b-again.nii.gz', { index: at(`index-right-${per}`), k: 1 });
      if (per === 'scan') expect(hits[0]).toMatchObject({ source: 'b', score: expect.closeTo(1, 5) });
      await of(`usual-${per}`, per, {});
      await of(`overlapping-${per}`, per, { overlap: 0.4 });
      await expect(of(`large-${per}`, per, { window: [32, 16, 8] })).rejects.toThrow(refused);
      await expect(
        of(`wide-${per}`, per, { window: [64, 64, 64] }, { window: [48, 48, 48] }),
      ).rejects.toThrow(/windows of 48×48×48/);
    }
    // Where the model sees other voxels than the scan has, too.
    const spaced = at('spaced.onnx');
    writePretrained(spaced, 'encoder', { spacing: '0.7x1.3x0.9' });
    for (const per of ['window', 'scan'] as const)
      await of(`spaced-${per}`, per, { model: spaced }, { model: spaced });
    const rows = await readFeatures(at('usual-window.npy'));
    const another = at('another.jsonl');
    await writeFeatures(
      another,
      rows.map((row) => ({ ...row, features: row.features.map((value) => 1.1 * value) })),
    );
    const out = at('index-another');
    await expect(makeIndex({ model, features: another, input: scans, out })).rejects.toThrow(refused);
  });

  test('says what it takes the windows of features for, where it cannot compare them', async () => {
    const features = at('alone.npy');
    await embed({ model, input: scans, out: features, per: 'window', threads: 1 });
    const noted = async (options: object) => {
      const lines: string[] = [];
      const progress = { update: () => {}, log: () => {}, stop: () => {} };
      const reporter = { log: (line: string) => void lines.push(line), start: () => progress };
      await makeIndex({ model, features, out: at('alone'), threads: 1, reporter, ...options });
      return lines.join('\n');
    };
    expect(await noted({})).toMatch(
      /taken for those of windows of 16×16×8 voxels[\s\S]*--window[\s\S]*--input/,
    );
    expect(await noted({ window: [16, 16, 8] })).toBe('');
    expect(await noted({ input: scans })).toBe('');
    // A scan that cannot be read is no reason to refuse the features of the others.
    mkdirSync(at('damaged'));
    writeFileSync(at('damaged', 'a.nii.gz'), 'no scan');
    copyFileSync(at('scans', 'c.nii.gz'), at('damaged', 'c.nii.gz'));
    expect(await noted({ input: [at('damaged')] })).toMatch(/^note: .*not compared.*a\.nii\.gz[^\n]*$/);
  });

  test('made again with more scans computes those only', async () => {
    const [input, out] = [at('growing'), at('growing-index')];
    mkdirSync(input);
    copyFileSync(at('scans', 'a.nii.gz'), join(input, 'a.nii.gz'));
    const options = { model, input: [input], out, threads: 1 };
    await makeIndex(options);
    const journal = readFileSync(join(out, 'finished.jsonl'), 'utf8');
    copyFileSync(at('scans', 'c.nii.gz'), join(input, 'c.nii.gz'));
    expect(await makeIndex(options)).toMatchObject({ scans: 2 });
    expect(readFileSync(join(out, 'finished.jsonl'), 'utf8').startsWith(journal)).toBe(true);
  });

  test('says why none of the scans could be used', async () => {
    mkdirSync(at('bad'));
    writeFileSync(at('bad', 'x.nii'), 'hello');
    const options = { model, input: [at('bad')], out: at('nothing') };
    const error = await makeIndex(options).catch((reason) => reason);
    expect(error).toMatchObject({
      ...{ name: 'UserError', kind: 'input' },
      facts: { where: at('bad'), got: expect.stringContaining('x.nii: ') },
    });
    expect(readdirSync(at('nothing'))).toEqual([]);
  });

  test('refuses features of another model, files that hold none, and options without effect', async () => {
    writeFileSync(
      at('short.jsonl'),
      '{"source":"a","offset":null,"centre":null,"windows":1,"features":[1,2]}\n',
    );
    writeFileSync(at('damaged.jsonl'), '{"source":"a","offset":null,"centre":null,"windows":1}\n');
    writeFileSync(at('damaged.parquet'), 'PAR1 and nothing else');
    const of = (features: string, options: object = {}) =>
      makeIndex({ model, features: at(features), out: at('none'), ...options });
    await expect(of('short.jsonl')).rejects.toThrow(/another model[\s\S]*2 features[\s\S]*32/);
    await expect(of('damaged.jsonl')).rejects.toThrow(/not features[\s\S]*row 1: features/);
    await expect(of('damaged.parquet')).rejects.toThrow(/not features/);
    await expect(of('missing.parquet')).rejects.toThrow(/no such file/);
    await expect(of('short.jsonl', { per: 'window' })).rejects.toThrow(/--per: features have been computed/);
    await expect(of('short.jsonl', { recall: 2 })).rejects.toThrow(/--recall/);
    await expect(makeIndex({ model, out: at('none') })).rejects.toThrow(/nothing to index/);
    expect(existsSync(at('none', 'index.json'))).toBe(false);
  });
});

describe('evaluate, of an index', () => {
  /** Vectors in two directions, whose scans are called after them. */
  const vectors = Array.from({ length: 24 }, (_, i) => ({
    ...{ source: `${i % 2 ? 'up' : 'down'}-${i}`, offset: null, centre: null, windows: 1 },
    features: Array.from({ length: 32 }, (_, c) => (c === i % 2 ? 10 : ((i * 7 + c * 3) % 11) / 11)),
  }));
  writeFileSync(at('two.jsonl'), vectors.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const table = (patient: (i: number) => string) =>
    [
      'file,side,patient,size',
      ...vectors.map(({ source }, i) => `${source}.nii.gz,${i % 2},${patient(i)},${i}`),
    ].join('\n');

  test('says what neighbours share, and what others would by chance', async () => {
    await makeIndex({ model, features: at('two.jsonl'), out: at('two') });
    writeFileSync(
      at('two.csv'),
      table((i) => `p${i >> 2}`),
    );
    const { metrics, facts } = await evaluate({
      ...{ prediction: at('two'), reference: at('two.csv'), columns: ['side', 'size'], k: 5, resamples: 0 },
    });
    expect(facts).toEqual({ rows: 24, queries: 24, neighbours: 5 });
    expect(metrics.side_same).toBe(1);
    expect(metrics.side_same_by_chance).toBeCloseTo(11 / 23, 10);
    // Of all pairs of 0 … 23 the mean difference is 25 / 3.
    expect(metrics.size_difference_by_chance).toBeCloseTo(25 / 3, 10);
  });

  test('tells scans of one name apart by their folders', async () => {
    const inFolders = vectors.map((row, i) => ({ ...row, source: `p${i}/ct` }));
    writeFileSync(at('folders.jsonl'), inFolders.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await makeIndex({ model, features: at('folders.jsonl'), out: at('folders') });
    const sides = (name: (i: number) => string) =>
      writeFileSync(
        at('sides.csv'),
        ['id,side', ...inFolders.map((_, i) => `${name(i)},${i % 2}`)].join('\n'),
      );
    const options = { prediction: at('folders'), reference: at('sides.csv'), columns: ['side'], k: 5 };
    sides((i) => `p${i}/ct.nii.gz`);
    const { metrics } = await evaluate({ ...options, resamples: 0 });
    expect(metrics.side_same_by_chance).toBeCloseTo(11 / 23, 10);
    sides((i) => (i === 0 ? 'ct' : `p${i}/ct`));
    await expect(evaluate(options)).rejects.toThrow(/no row with their name[\s\S]*p0\/ct/);
    sides(() => 'p1/ct');
    await expect(evaluate(options)).rejects.toThrow(/several rows are of the same scan[\s\S]*p1\/ct/);
  });

  test('leaves out what is not known, and says so', async () => {
    const ages = (unknown: string) =>
      ['id,age', ...vectors.map(({ source }, i) => `${source},${i < 2 ? unknown : i}`)].join('\n');
    for (const unknown of ['', 'NA']) {
      writeFileSync(at('ages.csv'), ages(unknown));
      const { metrics, notes } = await evaluate({
        ...{ prediction: at('two'), reference: at('ages.csv'), columns: ['age'], k: 5, resamples: 0 },
      });
      // Of all pairs of 2 … 23 the mean difference is 23 / 3.
      expect(metrics.age_difference_by_chance).toBeCloseTo(23 / 3, 10);
      expect(notes).toEqual(['age: left out for 2 of 24 scans, where it is not known']);
    }
  });

  test('draws scans for its intervals, not their windows', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => ({
      ...{ source: `s${Math.floor(i / 10)}`, offset: [i, 0, 0], centre: [i, 0, 0], windows: 1 },
      // Each scan is like the next one.
      features: Array.from({ length: 32 }, (_, c) => {
        const after = (c - Math.floor(i / 10) + 6) % 6;
        return c < 6 && after < 2 ? 10 - 3 * after : ((i * 7 + c * 3) % 11) / 11;
      }),
    }));
    writeFileSync(at('six.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await makeIndex({ model, features: at('six.jsonl'), out: at('six') });
    writeFileSync(at('six.csv'), 'id,sex\ns0,f\ns1,m\ns2,f\ns3,f\ns4,m\ns5,m\n');
    const { intervals } = await evaluate({
      ...{ prediction: at('six'), reference: at('six.csv'), columns: ['sex'], k: 5, resamples: 400 },
    });
    const [low, high] = intervals.sex_same!;
    // Drawn one by one, sixty windows would give half of that.
    expect(high - low).toBeGreaterThan(0.3);
  });

  test('passes over neighbours that are to be apart', async () => {
    // Each side is one patient: all neighbours are of the other.
    writeFileSync(
      at('apart.csv'),
      table((i) => `p${i % 2}`),
    );
    const options = { prediction: at('two'), reference: at('apart.csv'), resamples: 0 };
    const { metrics } = await evaluate({ ...options, columns: ['side'], apart: 'patient', k: 5 });
    expect(metrics).toEqual({ side_same: 0, side_same_by_chance: 0 });
    writeFileSync(
      at('one.csv'),
      table(() => 'p'),
    );
    const one = { ...options, reference: at('one.csv'), columns: ['side'], apart: 'patient' };
    await expect(evaluate(one)).rejects.toThrow(/--apart patient: no row[\s\S]*the same in all/);
    await expect(evaluate(options)).rejects.toThrow(/--columns[\s\S]*side/);
    await expect(evaluate({ ...options, columns: ['age'] })).rejects.toThrow(/missing columns[\s\S]*age/);
    writeFileSync(at('few.csv'), 'id,side\nup-1,1\n');
    await expect(evaluate({ ...options, reference: at('few.csv'), columns: ['side'] })).rejects.toThrow(
      /no row with their name[\s\S]*down-0/,
    );
  });
});
