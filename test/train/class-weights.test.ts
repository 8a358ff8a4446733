import { expect, test } from 'vitest';
import { resolveFinetuneConfig } from '../../src/config/finetuning.js';
import type { SampleEntry, SampleManifest } from '../../src/data/samples/manifest.js';
import { classWeightsFor } from '../../src/train/target.js';

test('weights of classes are 1 on average, and refused where a micro-batch would cancel them', () => {
  const samples = [0, 0, 0, 1, 2, 2].map((label) => ({ label }) as SampleEntry);
  const of = (classes: string[]) => ({ classes, samples }) as unknown as SampleManifest;
  const config = (microBatch: number | null) =>
    resolveFinetuneConfig({ kind: 'classification', config: { balance: 'weights', batch: 4, microBatch } });
  const three = of(['a', 'b', 'c']);
  const weights = classWeightsFor(config(null), three, samples)!;
  expect(samples.reduce((sum, { label }) => sum + weights[label!]!, 0) / samples.length).toBeCloseTo(1, 12);
  expect(weights[1]).toBeCloseTo(3 * weights[0]!, 12);
  expect(classWeightsFor(config(4), three, samples)).toEqual(weights);
  expect(() => classWeightsFor(config(2), three, samples)).toThrow(/of a whole batch[\s\S]*2 of 4 samples/);
  // The weight of a yes is no mean of its batch.
  expect(() => classWeightsFor(config(2), of(['no', 'yes']), samples)).not.toThrow();
});

test('weights of a yes, and of voxels inside a mask, say how many no there are for each', () => {
  const config = (kind: 'classification' | 'segmentation') =>
    resolveFinetuneConfig({
      kind,
      config: { balance: 'weights', ...(kind === 'segmentation' && { loss: 'binaryCrossEntropy' }) },
    });
  const labelled = [0, 0, 0, 1].map((label) => ({ label }) as SampleEntry);
  const binary = { classes: ['no', 'yes'], samples: labelled } as unknown as SampleManifest;
  expect(classWeightsFor(config('classification'), binary, labelled)).toEqual([3]);
  const masked = [
    [10, 0],
    [30, 5],
  ].map((classVoxels) => ({ classVoxels }) as unknown as SampleEntry);
  const masks = { classes: ['a', 'b'], size: [5, 4, 5], samples: masked } as unknown as SampleManifest;
  expect(classWeightsFor(config('segmentation'), masks, masked)).toEqual([160 / 40, 195 / 5]);
  const dice = { balance: 'weights', loss: 'dice' } as const;
  expect(() => resolveFinetuneConfig({ kind: 'segmentation', config: dice })).toThrow(/Dice has no weights/);
});
