import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type EvaluateOptions, evaluate } from '../../src/commands/evaluate.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { writeNpy } from '../../src/data/scan/npy.js';
import type { Grid, Volume } from '../../src/data/scan/volume.js';
import { temporaryFolder, userErrorOf } from '../data/scan/samples.js';
import { lastJson } from './cli.js';
import { p2wHere } from './here.js';

const file = temporaryFolder();
const GRID: Grid = {
  size: [6, 5, 4],
  spacing: [0.7, 0.7, 2.5],
  origin: [-100.5, 20.25, 3],
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};
/** Of value `inside` in columns x = from … to, else 0. */
const slab = (from: number, to: number, inside = 1, grid = GRID): Volume => ({
  ...grid,
  voxels: Float32Array.from({ length: 120 }, (_, i) => (i % 6 >= from && i % 6 <= to ? inside : 0)),
});
async function scan(name: string, volume: Volume): Promise<string> {
  const path = file(name);
  if (name.endsWith('.mha')) await writeMetaImage(path, volume);
  else await writeNifti(path, volume);
  return path;
}
const table = (name: string, ...lines: string[]) => file(name, lines.join('\n'));
const errorOf = async (options: EvaluateOptions) => (await userErrorOf(evaluate(options))).message;

describe('masks', () => {
  test('all metrics, from two formats, and the same numbers in text and JSON', async () => {
    const prediction = await scan('shifted.mha', slab(2, 4));
    const reference = await scan('truth.nii.gz', slab(1, 3));
    const args = ['evaluate', '--prediction', prediction, '--reference', reference];
    const json = lastJson(await p2wHere([...args, '--json']));
    expect(json).toMatchObject({
      kind: 'masks',
      'iou_fg@0.5': 0.5,
      'dice@0.5': 2 / 3,
      'iou2@0.5': 0.5,
      miou_genesis: 0.5,
      soft_dice: 81 / 121,
      surface_dice: 1,
      notes: [],
    });
    expect(json.hausdorff95_mm).toBeCloseTo(0.7, 6);
    const { stdout, code } = await p2wHere([...args, '--tolerance', '0.5']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/dice@0\.5 +0\.6667/);
    // 28 of the 54 surface voxels of each are surface voxels of the other.
    expect(stdout).toMatch(/surface_dice +0\.5185/);
  });

  test('the way in which a file stores its axes does not matter', async () => {
    // The same voxels from right to left: x runs the other way from the other end.
    const mirrored: Volume = {
      ...slab(1, 3),
      origin: [GRID.origin[0] + 5 * 0.7, GRID.origin[1], GRID.origin[2]],
      direction: [-1, 0, 0, 0, 1, 0, 0, 0, 1],
      voxels: slab(2, 4).voxels,
    };
    const { metrics } = await evaluate({
      prediction: await scan('mirrored.nii', mirrored),
      reference: await scan('truth.nii', slab(1, 3)),
    });
    expect(metrics['dice@0.5']).toBe(1);
  });

  test('--label compares one class; a probability map may stand against it', async () => {
    const reference = await scan('labels.nii', slab(1, 3, 2));
    const labels = await scan('predicted.nii', slab(1, 2, 2));
    const probabilities = await scan('probabilities.nii', slab(1, 3, 0.75));
    const of = async (prediction: string) => (await evaluate({ prediction, reference, label: 2 })).metrics;
    expect((await of(labels))['iou_fg@0.5']).toBeCloseTo(2 / 3, 12);
    const soft = await of(probabilities);
    expect(soft['iou_fg@0.5']).toBe(1);
    expect(soft.soft_dice).toBeCloseTo((2 * 45 + 1) / (45 + 60 + 1), 12);
    expect((await of(await scan('confident.nii', slab(1, 3, 0.9999))))['dice@0.5']).toBe(1);
    expect((await evaluate({ prediction: labels, reference, label: 1 })).notes[0]).toMatch(
      /undefined because the reference and the prediction/,
    );
    // It may as well have missed the class.
    const { metrics, notes } = await evaluate({
      prediction: await scan('binary.nii', slab(1, 3)),
      reference,
      label: 2,
    });
    expect(metrics['dice@0.5']).toBe(0);
    expect(notes.at(-1)).toMatch(/taken for labels, none of which is 2; .* its foreground must be 2/);
  });

  test('a class that is in neither mask: every measure of overlap is null, and said in words', async () => {
    const labels = await scan('two-classes.nii', slab(1, 3, 2));
    const args = ['--prediction', labels, '--reference', labels, '--label', '7'];
    const found = lastJson(await p2wHere(['evaluate', ...args, '--json']));
    for (const name of ['miou_genesis', 'iou_fg@0.5', 'iou2@0.5', 'dice@0.5', 'soft_dice', 'hausdorff95_mm'])
      expect(found[name], name).toBeNull();
    expect(found.notes[0]).toMatch(
      /miou_genesis.* undefined because the reference and the prediction have no foreground/,
    );
  });

  test('probabilities that rounding has put beyond 0 and 1 are those from 0 to 1', async () => {
    const reference = await scan('inside.nii', slab(1, 3));
    const of = async (name: string, low: number, high: number) => {
      const volume = slab(2, 4, high);
      const voxels = volume.voxels.map((value) => (value === 0 ? low : value));
      return { prediction: await scan(name, { ...volume, voxels }), reference };
    };
    const exact = (await evaluate(await of('exact.nii', 0, 1))).metrics;
    for (const label of [{}, { label: 1 }])
      expect((await evaluate({ ...(await of('over.nii', -1e-8, 1.000001)), ...label })).metrics).toEqual(
        exact,
      );
    expect(await errorOf(await of('far.nii', 0, 1.00001))).toMatch(/neither classes nor probabilities/);
    expect(await errorOf(await of('below.nii', -1e-5, 1))).toMatch(/neither classes nor probabilities/);
  });

  test('an empty mask: what is not defined is null, and said in words', async () => {
    const prediction = await scan('empty.nii', slab(9, 9));
    const reference = await scan('full.nii', slab(0, 2));
    const result = await p2wHere([
      'evaluate',
      '--prediction',
      prediction,
      '--reference',
      reference,
      '--json',
    ]);
    expect(lastJson(result)).toMatchObject({ 'dice@0.5': 0, surface_dice: 0, hausdorff95_mm: null });
    expect(lastJson(result).notes[0]).toMatch(
      /hausdorff95_mm undefined because the prediction has no foreground/,
    );
  });

  test('folders are paired by name: mean, standard deviation and interval', async () => {
    for (const name of ['predictions', 'references']) mkdirSync(file(name));
    for (const [name, shift] of [
      ['a', 0],
      ['b', 1],
      ['c', 3],
    ] as const) {
      await scan(`${name}-reference.mha`, slab(0, 2));
      await writeNifti(join(file('predictions'), `${name}.nii.gz`), slab(shift, shift + 2));
      await writeMetaImage(join(file('references'), `${name}.mha`), slab(0, 2));
    }
    const options = { prediction: file('predictions'), reference: file('references') };
    const found = await evaluate(options);
    expect(found.cases.map(({ id, metrics }) => [id, metrics['iou_fg@0.5']])).toEqual([
      ['a', 1],
      ['b', 0.5],
      ['c', 0],
    ]);
    expect(found.metrics['iou_fg@0.5']).toBe(0.5);
    expect(found.standardDeviations['iou_fg@0.5']).toBe(0.5);
    expect(found.intervals['iou_fg@0.5']).toEqual([0, 1]);
    await writeMetaImage(join(file('references'), 'd.mha'), slab(0, 2));
    expect(await errorOf(options)).toMatch(
      /predictions: some masks have no matching file here\n.*none for d/,
    );
  });

  test.each([
    ['spacing', { ...GRID, spacing: [0.7, 0.72, 2.5] }],
    ['origin', { ...GRID, origin: [-100.5, 20.75, 3] }],
    ['direction', { ...GRID, direction: [1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8] }],
    ['size', { ...GRID, size: [6, 4, 5] }],
  ] as [string, Grid][])('refuses another %s, naming both grids', async (what, grid) => {
    const prediction = await scan(`other-${what}.nii`, slab(0, 2, 1, grid));
    const message = await errorOf({ prediction, reference: await scan('here.nii', slab(0, 2)) });
    expect(message).toContain(`other-${what}.nii: the prediction is on a different grid`);
    expect(message).toContain('got:      6×');
    expect(message).toMatch(
      /expected: 6×5×4 voxels of 0\.7 0\.7 2\.5 mm, origin -100\.5 20\.25 3, .*here\.nii/,
    );
  });

  test('refuses values that are neither classes nor probabilities', async () => {
    const good = await scan('good.nii', slab(0, 2));
    const several = await scan('several.nii', slab(0, 2, 3));
    const half = await scan('half.nii', slab(0, 2, 0.5));
    const negative = await scan('negative.nii', slab(0, 2, -1));
    const nan = file('nan.npy');
    writeNpy(
      nan,
      Float32Array.from({ length: 120 }, (_, i) => (i === 7 ? Number.NaN : 0)),
      [4, 5, 6],
    );
    expect(await errorOf({ prediction: good, reference: several })).toMatch(/from 0 to 3[\s\S]*--label/);
    expect(await errorOf({ prediction: several, reference: good })).toMatch(/from 0 to 3[\s\S]*--label/);
    expect(await errorOf({ prediction: good, reference: half })).toMatch(/values that are not classes/);
    expect(await errorOf({ prediction: good, reference: half, label: 1 })).toMatch(
      /values that are not classes/,
    );
    expect(await errorOf({ prediction: negative, reference: good })).toMatch(/-1 to 0/);
    expect(await errorOf({ prediction: good, reference: negative, label: 1 })).toMatch(/-1 to 0/);
    expect(await errorOf({ prediction: nan, reference: nan })).toMatch(
      /some voxels are not finite numbers\n.*1 of them/,
    );
  });
});

describe('scores', () => {
  const labels = () => table('labels.csv', 'id,label', 'a,1', 'b,0', 'c,1', 'd,0');

  test('AUC and average precision with intervals, whatever the order of the lines', async () => {
    const scores = table('scores.tsv', 'id\tscore', 'd\t0.1', 'c\t0.3', 'b\t0.7', 'a\t0.9');
    const json = lastJson(
      await p2wHere(['evaluate', '--prediction', scores, '--reference', labels(), '--json']),
    );
    expect(json).toMatchObject({ kind: 'scores', samples: 4, positives: 2, auc: 0.75 });
    expect(json.average_precision).toBeCloseTo((1 + 2 / 3) / 2, 12);
    expect(json.intervals.auc[0]).toBeLessThan(0.75);
    expect(json.intervals.auc[1]).toBe(1);
  });

  test('labels may be written as whole numbers with decimals', async () => {
    const { metrics } = await evaluate({
      prediction: table('scores.csv', 'id,score', 'a,0.9', 'b,0.4'),
      reference: table('floats.csv', 'id,label', 'a,1.0', 'b,0.0'),
    });
    expect(metrics.auc).toBe(1);
  });

  test('samples may be places in scans, as in LUNA16’s candidates', async () => {
    const head = 'seriesuid,coordX,coordY,coordZ';
    const { metrics } = await evaluate({
      prediction: table('candidates.csv', `${head},probability`, 's,1,2,3,0.8', 's,1,2,4,0.3'),
      reference: table('candidates_V2.csv', `${head},class`, 's,1.0,2,4,0', 's,1.0,2,3,1'),
    });
    expect(metrics.auc).toBe(1);
  });

  test('one class only: null, and said in words', async () => {
    const scores = table('two.csv', 'id,score', 'a,1', 'b,2');
    const all = async (label: number) => {
      const reference = table(`only${label}.csv`, 'id,label', `a,${label}`, `b,${label}`);
      return p2wHere(['evaluate', '--prediction', scores, '--reference', reference, '--json']);
    };
    expect(lastJson(await all(1))).toMatchObject({
      auc: null,
      average_precision: 1,
      notes: ['auc is undefined: all 2 samples have label 1'],
    });
    expect(lastJson(await all(0))).toMatchObject({ auc: null, average_precision: null });
    expect((await all(0)).stdout).not.toContain('NaN');
  });

  test.each([
    ['no score', ['a,1', 'b,0', 'c,1'], /some samples have no score here\n.*none for d/],
    ['no label', ['a,1', 'b,0', 'c,1', 'd,1', 'e,1'], /some samples have no label here\n.*none for e/],
    ['two scores', ['a,1', 'b,0', 'c,1', 'd,1', 'a,2'], /line 6: a occurs twice/],
    ['a score that is no number', ['a,1', 'b,0', 'c,nan', 'd,1'], /line 4: score is not a number/],
  ])('a sample with %s is named', async (_, lines, message) => {
    const prediction = table('scores.csv', 'id,score', ...lines);
    expect(await errorOf({ prediction, reference: labels() })).toMatch(message);
  });

  test('labels other than 0 and 1, and missing columns, are refused', async () => {
    const prediction = table('one.csv', 'id,score', 'a,1');
    const two = table('two.csv', 'id,label', 'a,2');
    expect(await errorOf({ prediction, reference: two })).toMatch(
      /line 2: the label of a is neither 0 nor 1/,
    );
    expect(await errorOf({ prediction, reference: prediction })).toMatch(/missing columns[\s\S]*id, label/);
  });
});

describe('detections', () => {
  const head = 'seriesuid,coordX,coordY,coordZ';
  const submission = () =>
    table('submission.csv', `${head},probability`, 's1,0,0,1,0.9', 's1,50,0,0,0.8', 's2,9,9,9,0.2');
  const annotations = () => table('annotations.csv', `${head},diameter_mm`, 's1,0,0,0,6', 's3,5,5,5,8');

  test('sensitivities and their mean; scans without detections are named', async () => {
    const scans = table('scans.csv', 'seriesuid', 's1', 's2', 's3', 's4');
    const excluded = table('excluded.csv', `${head},diameter_mm`, 's1,52,0,0,-1');
    const paths = ['--prediction', submission(), '--reference', annotations(), '--scans', scans];
    const json = lastJson(await p2wHere(['evaluate', ...paths, '--excluded', excluded, '--json']));
    expect(json).toMatchObject({
      kind: 'detections',
      scans: 4,
      lesions: 2,
      detected: 1,
      falsePositives: 1,
      ignored: 1,
      'sensitivity@0.125': 0.5,
      'sensitivity@8': 0.5,
      cpm: 0.5,
    });
    expect(json.intervals.cpm[0]).toBe(0);
    expect(json.notes).toEqual(['2 scans without detections: s3, s4']);
  });

  test('scans outside the list: detections are refused, lesions left out and named', async () => {
    const reference = annotations();
    const few = table('few.csv', 's1');
    expect(await errorOf({ prediction: submission(), reference, scans: few })).toMatch(
      /detections in scans that are not in .*few\.csv\n.*s2/,
    );
    const found = await evaluate({
      prediction: submission(),
      reference,
      scans: table('two.csv', 's1', 's2'),
    });
    expect(found.facts.lesions).toBe(1);
    expect(found.notes.join()).toContain('1 scan with lesions but not in --scans, left out: s3');
    expect((await evaluate({ prediction: submission(), reference })).notes.join()).toContain(
      'list all scans with --scans',
    );
  });

  test('no lesions at all: null, and said in words', async () => {
    const reference = table('none.csv', `${head},diameter_mm`);
    const { metrics, notes } = await evaluate({ prediction: submission(), reference });
    expect(metrics.cpm).toBeNull();
    expect(notes[0]).toMatch(/undefined: there are no lesions/);
  });
});

test.each([
  [
    'a mask against a table',
    ['--prediction', 'a.nii', '--reference', 'b.csv'],
    /one of the two files is a table/,
  ],
  ['a label that is none', ['--prediction', 'a.nii', '--reference', 'b.nii', '--label', '1.5'], /--label/],
  [
    'a tolerance below 0',
    ['--prediction', 'a.nii', '--reference', 'b.nii', '--tolerance', '-1'],
    /--tolerance/,
  ],
  [
    'options of another kind',
    ['--prediction', 'a.nii', '--reference', 'b.nii', '--scans', 'c'],
    /--scans cannot be used with masks/,
  ],
  ['a file that is not there', ['--prediction', 'a.nii', '--reference', 'b.nii'], /no such file/],
])('%s is refused in words', async (_, args, message) => {
  const { code, stderr, stdout } = await p2wHere(['evaluate', ...args]);
  expect(code).toBeGreaterThan(0);
  expect(code).toBeLessThan(3);
  expect(stderr).toMatch(message);
  expect(stdout).toBe('');
});
