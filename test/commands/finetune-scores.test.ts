/** Samples that there is nothing to learn or to measure of, and what their scores are. */
import { existsSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { finetune } from '../../src/commands/finetune.js';
import { formatFinetune } from '../../src/commands/finetune-summary.js';
import { formatPrepareSamples, prepareSamples } from '../../src/commands/prepare-samples.js';
import { rowsToCsv, scorePredictions } from '../../src/commands/score-samples.js';
import type { SampleEntry } from '../../src/data/samples/manifest.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { prepareBalls, trainingsIn } from './finetune-balls.js';

const folder = temporaryFolder();
const { at, options, segment } = trainingsIn(folder);

beforeAll(() => prepareBalls(folder));

describe('finetune', () => {
  test('masks that are all empty are refused before anything is written, some are said', async () => {
    const lines = (splits: Readonly<Record<string, readonly number[]>>) =>
      Object.entries(splits).flatMap(([split, patients]) =>
        patients.map((i) => {
          const file = `p${String(i).padStart(2, '0')}_0.nii.gz`;
          return `images/${file},labels/${file},${split}`;
        }),
      );
    // Patients of an even number have no ball.
    for (const [name, splits, message] of [
      [
        'none',
        { train: [0, 2], validation: [1], test: [3] },
        /all masks of the train samples are empty: there is nothing to learn/,
      ],
      [
        'unseen',
        { train: [1], validation: [3], test: [0, 2] },
        /all masks of the test samples are empty: there is nothing to measure[\s\S]*2 masks with no voxel of ball/,
      ],
    ] as const) {
      writeFileSync(at(`raw/${name}.csv`), ['image,mask,split', ...lines(splits)].join('\n'));
      const common = { task: 'manifest', size: [16, 16, 8], classes: ['ball'] } as const;
      await prepareSamples({ ...common, input: at(`raw/${name}.csv`), out: at(name) });
      await expect(finetune({ ...segment(`${name}-run`), data: at(name) })).rejects.toThrow(message);
      expect(existsSync(at(`${name}-run`))).toBe(false);
    }
    const table = ['image,mask,split', ...lines({ train: [0, 1, 2, 3], validation: [5], test: [7] })];
    writeFileSync(at('raw/some.csv'), table.join('\n'));
    const prepared = await prepareSamples({
      ...{ task: 'manifest', input: at('raw/some.csv'), out: at('some'), size: [16, 16, 8] },
      classes: ['ball', 'cube'],
    });
    expect(prepared.splits.train.emptyMasks).toBe(2);
    expect(formatPrepareSamples(prepared)).toContain('train: 4 samples of 4 patients: 2 with empty masks');
    const { notes } = await finetune({ ...segment('some-run', { config: { steps: 1 } }), data: at('some') });
    expect(notes).toEqual([
      '2 of 4 masks of the train samples are empty',
      'no mask of the train samples has a voxel of cube: it cannot be learnt',
      'no mask of the validation samples has a voxel of cube: it cannot be measured',
      'no mask of the test samples has a voxel of cube: it cannot be measured',
    ]);
  });

  test('with several classes, scores are those of the mask that segment makes, in which each voxel is of one', async () => {
    const store = openSampleStore(at('some'));
    const sample = store.manifest.samples.find(({ classVoxels }) => classVoxels![0]! > 0)!;
    const voxels = 16 * 16 * 8;
    // The ball is found, but is taken for a cube.
    const { mask } = readSample(store, sample);
    const probabilities = Float32Array.from({ length: 2 * voxels }, (_, i) =>
      mask![i % voxels] === 1 ? (i < voxels ? 0.6 : 0.9) : 0,
    );
    const { scores } = await scorePredictions(
      store,
      (async function* () {
        yield { sample, probabilities, loss: 0, weight: 1 };
      })(),
      true,
    );
    expect(scores).toMatchObject({ 'dice@0.5': 0, 'iou_fg@0.5': 0, surface_dice: 0 });
    expect(scores.soft_dice).toBeGreaterThan(0);
  });

  test('what is not defined for the samples is null, a dash for people, and nothing in a table', async () => {
    const store = openSampleStore(at('masked'));
    const isEmpty = ({ classVoxels }: SampleEntry) => classVoxels![0] === 0;
    const nothing = async (samples: readonly SampleEntry[]) => {
      const probabilities = new Float32Array(16 * 16 * 8);
      const predictions = samples.map((sample) => ({ sample, probabilities, loss: 0, weight: 1 }));
      return scorePredictions(
        store,
        (async function* () {
          yield* predictions;
        })(),
        true,
      );
    };
    const { samples } = store.manifest;
    const empty = await nothing(samples.filter(isEmpty).slice(0, 2));
    expect(new Set(Object.values(empty.scores))).toEqual(new Set([null]));
    expect(Object.keys(empty.scores)).toContain('miou_genesis');
    const all = await nothing([samples.find(isEmpty)!, samples.find((sample) => !isEmpty(sample))!]);
    expect(all.scores).toMatchObject({ 'dice@0.5': 0, surface_dice: 0, hausdorff95_mm: null });
    expect(rowsToCsv(all.rows).split('\n')[1]).toMatch(/^[^,]+,[^,]+,{6,}$/);
    const summary = { out: 'o', init: 'random', trainingSamples: 1, testSamples: 1, trials: [], notes: [] };
    const text = formatFinetune({
      ...summary,
      interrupted: false,
      mean: empty.scores,
      standardDeviation: {},
    });
    expect(text).toMatch(/dice@0\.5: –\n/);
  });

  test('a test split of one class is refused: it has no AUC', async () => {
    const table = at('raw/one.csv');
    const line = (i: number, split: string, label: number) =>
      `images/p${String(i).padStart(2, '0')}_0.nii.gz,${label},${split}`;
    const lines = [0, 1, 2, 3].map((i) => line(i, i < 2 ? 'train' : 'validation', i % 2));
    writeFileSync(table, ['image,label,split', ...lines, line(4, 'test', 0)].join('\n'));
    await prepareSamples({ task: 'manifest', input: table, out: at('one'), size: [16, 16, 8] });
    await expect(finetune({ ...options('x'), data: at('one') })).rejects.toThrow(
      /all test samples belong to one class[\s\S]*no AUC/,
    );
  });
});
