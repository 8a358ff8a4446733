import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { classify } from '../../src/commands/classify.js';
import { embed } from '../../src/commands/embed.js';
import { writeFeatures } from '../../src/commands/feature-files.js';
import { merge } from '../../src/commands/merge.js';
import { readFeatures } from '../../src/commands/read-features.js';
import { reconstruct } from '../../src/commands/reconstruct.js';
import { segment } from '../../src/commands/segment.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeTarget, writeThresholds } from '../inference/models.js';
import { lastJson } from './cli.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const read = (name: string) => readFileSync(at(name), 'latin1');
const SITES = ['north', 'south'];

beforeAll(async () => {
  for (const [s, site] of SITES.entries()) {
    mkdirSync(at('scans', site), { recursive: true });
    for (let i = 0; i < 2; i++)
      await writeNifti(
        at('scans', site, `${site}, ${i}.nii.gz`),
        noiseVolume([24, 20, 8 + 2 * i], 2 * s + i),
      );
  }
  writePretrained(at('encoder.onnx'), 'encoder');
  writePretrained(at('autoencoder.onnx'), 'autoencoder');
  writeThresholds(at('segmenter.onnx'));
  writeTarget(at('classifier.onnx'), 'classification', ['small', 'large']);
});

/** Runs a command on the scans of each site, and on all of them. @returns results of the sites */
async function runApart(
  run: (options: { input: string[]; out: string; threads: number }) => Promise<unknown>,
  result: (name: string) => string,
): Promise<string[]> {
  for (const name of SITES) await run({ input: [at('scans', name)], out: at(name), threads: 1 });
  await run({ input: SITES.map((name) => at('scans', name)), out: at('all'), threads: 1 });
  return SITES.map((name) => at(result(name)));
}

describe('the union of parts is what one process makes, byte for byte:', () => {
  test.each(['npy', 'jsonl', 'parquet'])('features as %s', async (format) => {
    const model = at('encoder.onnx');
    const input = await runApart(
      ({ out, ...options }) => embed({ ...options, model, out: `${out}.${format}`, per: 'window' }),
      (name) => `${name}.${format}`,
    );
    const { files, ...counts } = await merge({ input, out: at(`merged.${format}`) });
    expect(counts).toEqual({ parts: 2, scans: 4, rows: (await readFeatures(at(`all.${format}`))).length });
    expect(files).toHaveLength(format === 'npy' ? 2 : 1);
    for (const file of files) expect(readFileSync(file)).toEqual(readFileSync(file.replace('merged', 'all')));
  });

  test('features of several formats', async () => {
    await merge({ input: [at('north.npy'), at('south.jsonl')], out: at('mixed.parquet') });
    expect(read('mixed.parquet')).toBe(read('all.parquet'));
  });

  test.each(['csv', 'jsonl'])('classes as %s', async (format) => {
    const model = at('classifier.onnx');
    const input = await runApart(
      ({ out, ...options }) => classify({ ...options, model, out: `${out}.classes.${format}` }),
      (name) => `${name}.classes.${format}`,
    );
    expect(await merge({ input, out: at(`merged.classes.${format}`) })).toMatchObject({ scans: 4, rows: 4 });
    expect(read(`merged.classes.${format}`)).toBe(read(`all.classes.${format}`));
  });

  test.each([
    ['volumes of masks', 'segmenter.onnx', segment, 'volumes.csv'],
    ['errors of reconstructions', 'autoencoder.onnx', reconstruct, 'errors.csv'],
  ] as const)('%s', async (_, model, run, table) => {
    const input = await runApart(
      ({ out, ...options }) => run({ ...options, model: at(model), out: `${out}-results-${model}` }),
      (name) => `${name}-results-${model}/${table}`,
    );
    await merge({ input, out: at(table) });
    expect(read(table)).toBe(read(`all-results-${model}/${table}`));
  });
});

const row = (source: string, ...features: number[]) => ({
  ...{ source, offset: null, centre: null, windows: 1 },
  features: Float32Array.from(features),
});

describe('parts with scans of the same name', () => {
  beforeAll(async () => {
    for (const site of SITES)
      await writeFeatures(at('same', site, 'features.jsonl'), [row('ct', 1, 2), row('mr', 3, 4)]);
  });
  const input = SITES.map((site) => at('same', site, 'features.jsonl'));

  test('are refused, as is one part twice', async () => {
    const out = at('same.npy');
    await expect(merge({ input, out })).rejects.toThrow(
      /south.features\.jsonl: two parts have a scan of the same name\n.*ct, which is in .*north[\s\S]*--name-parts/,
    );
    await expect(merge({ input: [input[0]!, input[0]!], out })).rejects.toThrow(/ct, which is in .*north/);
  });

  test('are told apart by the names of the parts', async () => {
    const finished = await p2wHere(['merge', ...input, '--out', at('same.npy'), '--name-parts', '--json']);
    expect(lastJson(finished)).toMatchObject({ parts: 2, scans: 4, rows: 4 });
    const rows = await readFeatures(at('same.npy'));
    expect(rows.map(({ source }) => source)).toEqual([
      ...['north/features/ct', 'north/features/mr', 'south/features/ct', 'south/features/mr'],
    ]);
    expect(rows[3]!.features).toEqual(Float32Array.of(3, 4));
  });
});

describe('refused are', () => {
  const files = {
    'two.jsonl': '{"source":"a","offset":null,"centre":null,"windows":1,"features":[1,2]}\n',
    'three.jsonl': '{"source":"b","offset":null,"centre":null,"windows":1,"features":[1,2,3]}\n',
    'cut.jsonl': '{"source":"b","offset":null,"centre":null,"windows":1,"feat',
    'nodule.jsonl': '{"scan":"a","centre":[1,2,3],"class":"no","probabilities":{"no":0.6,"yes":0.4}}\n',
    'adrenal.jsonl': '{"scan":"b","centre":[1,2,3],"class":"x","probabilities":{"x":1}}\n',
    'cut-classes.jsonl': '{"scan":"b","centre":[1,2,3],"cl',
    'volumes.csv': 'scan,label,class,voxels,ml\na,1,lung,3,0.1\n',
    'errors.csv': 'scan,mean_absolute_error,mean_squared_error\nb,1,1\n',
    'short.csv': 'scan,label,class,voxels,ml\nb,1,lung\n',
    'other.csv': 'name,age\nb,1\n',
    'labels.csv': 'scan,label\na,1\n',
    'notes.jsonl': 'a line of my own\n',
  };
  beforeAll(() => {
    mkdirSync(at('wrong', 'folder.csv'), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(at('wrong', name), text);
  });
  const mergeWrong = (parts: string[], out: string) =>
    merge({ input: parts.map((name) => at('wrong', name)), out: at('wrong', out) });

  test.each([
    [
      ['two.jsonl', 'three.jsonl'],
      'out.npy',
      /differ in their number of features[\s\S]*got: +3\n.*expected: 2, as in .*two/,
    ],
    [['two.jsonl', 'cut.jsonl'], 'out.npy', /cut\.jsonl: these are not features/],
    [['two.jsonl', 'nodule.jsonl'], 'out.jsonl', /nodule\.jsonl: these are not features/],
    [
      ['nodule.jsonl', 'adrenal.jsonl'],
      'out.jsonl',
      /differ in their classes[\s\S]*got: +x\n.*expected: no, yes, as in/,
    ],
    [
      ['nodule.jsonl', 'two.jsonl'],
      'out.jsonl',
      /two\.jsonl: this is not a part of these results[\s\S]*p2w classify/,
    ],
    [['nodule.jsonl', 'cut-classes.jsonl'], 'out.jsonl', /cut-classes\.jsonl: this is not a part/],
    [['volumes.csv', 'errors.csv'], 'out.csv', /differ in their columns[\s\S]*expected: scan, label/],
    [['volumes.csv', 'short.csv'], 'out.csv', /line 2: a line has a different number of cells/],
    [['volumes.csv', 'other.csv'], 'out.csv', /other\.csv: this is not a part[\s\S]*got: +name,age/],
    [['two.jsonl'], 'out.csv', /two\.jsonl: this is not a part[\s\S]*expected: a \.csv file/],
    [['missing.jsonl'], 'out.jsonl', /missing\.jsonl: no such file or folder/],
    [['missing.parquet'], 'out.npy', /missing\.parquet: no such file or folder/],
    [['missing.csv'], 'out.csv', /missing\.csv: no such file or folder/],
    [['folder.csv'], 'out.csv', /folder\.csv: .*folder/],
    [['volumes.csv'], 'volumes.csv', /the result would overwrite one of its parts/],
    [['array.npy'], 'array.rows.jsonl', /array\.rows\.jsonl: the result would overwrite one of its parts/],
    [['volumes.csv'], 'other.csv', /no result of this command: it would be overwritten/],
    // A table of the user's own may begin with scans, too.
    [['volumes.csv'], 'labels.csv', /no result of this command: it would be overwritten/],
    [['two.jsonl'], 'notes.jsonl', /no result of this command: it would be overwritten/],
    [['two.jsonl'], 'out.txt', /\.npy, \.jsonl, \.parquet, \.csv/],
  ] as const)('%j into %s', async (parts, out, message) => {
    await expect(mergeWrong([...parts], out)).rejects.toThrow(message);
    for (const [name, text] of Object.entries(files)) expect(read(`wrong/${name}`)).toBe(text);
  });

  test('what a shard has finished', async () => {
    await expect(mergeWrong(['a.npy.unfinished.shard-1-of-2'], 'a.npy')).rejects.toThrow(
      /shard-1-of-2: this is what a shard has finished[\s\S]*without --shard/,
    );
  });

  test('no parts at all', async () => {
    await expect(mergeWrong([], 'out.csv')).rejects.toThrow(/there are no parts to merge/);
  });
});
