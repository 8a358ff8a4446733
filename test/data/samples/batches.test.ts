/** Which samples are trained on and looked at, and the batches of them. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  evaluationBatches,
  patientsOf,
  type SamplePlan,
  trainingBatch,
  trainingSamples,
  validationSamples,
} from '../../../src/data/samples/batches.js';
import { openSampleLoader } from '../../../src/data/samples/loader.js';
import { openSampleStore, readSample } from '../../../src/data/samples/store.js';
import { temporaryFolder } from '../store/tiles-sample.js';
import { writeBallStores } from './ball-stores.js';

const folder = temporaryFolder();
const raw = join(folder, 'raw');
const classified = join(folder, 'classified');
const masked = join(folder, 'masked');

beforeAll(() => writeBallStores({ raw, classified, masked }));

const plan = (samples: SamplePlan['samples'], more: Partial<SamplePlan> = {}): SamplePlan => ({
  samples,
  batch: 4,
  balance: 'none',
  augmentation: { flips: false, rotationDegrees: 0, intensity: 0 },
  seed: 1,
  ...more,
});

describe('batches', () => {
  test('do not depend on the number of threads, and every epoch has all samples', async () => {
    const store = openSampleStore(classified);
    const samples = store.manifest.samples.filter(({ split }) => split === 'train');
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) seen.push(...trainingBatch(store, plan(samples), i).indices);
    for (const epoch of [seen.slice(0, 14), seen.slice(14, 28)])
      expect([...epoch].sort((a, b) => a - b)).toEqual(samples.map((_, i) => i));
    expect(seen.slice(0, 14)).not.toEqual(seen.slice(14, 28));

    const augmentation = { flips: true, rotationDegrees: 10, intensity: 0.1 };
    const job = { store, plan: plan(samples, { augmentation }) };
    for (const workers of [0, 2]) {
      const loader = openSampleLoader({ ...job, workers, ahead: () => 3, batchAt: (i) => 5 + i });
      const batches = [await loader.next(), await loader.next()];
      await loader.close();
      expect(batches).toEqual([5, 6].map((i) => trainingBatch(store, job.plan, i)));
    }
  });

  test('a sample is changed in another way in each epoch', () => {
    const store = openSampleStore(classified);
    const samples = store.manifest.samples.filter(({ split }) => split === 'train');
    const augmentation = { flips: false, rotationDegrees: 10, intensity: 0.1 };
    /** The images of an epoch, by their samples. */
    const images = (epoch: number) => {
      const found = new Map<number, string>();
      for (let i = 0; i < 14; i++) {
        const { image, indices } = trainingBatch(
          store,
          plan(samples, { augmentation, batch: 1 }),
          14 * epoch + i,
        );
        found.set(indices[0]!, image.join());
      }
      return found;
    };
    const [first, second] = [images(0), images(1)];
    expect(first.size).toBe(14);
    for (const [sample, image] of first) expect(second.get(sample)).not.toBe(image);
  });

  test('balanced epochs have as many samples of each class', () => {
    const store = openSampleStore(classified);
    const train = store.manifest.samples.filter(({ split }) => split === 'train');
    const few = [
      ...train.filter(({ label }) => label === 0).slice(0, 2),
      ...train.filter(({ label }) => label === 1),
    ];
    const batches = [0, 1, 2].map((i) => trainingBatch(store, plan(few, { balance: 'sampling' }), i));
    for (const { label } of batches) expect([...label!].filter((l) => l === 0)).toHaveLength(2);
  });

  test('balanced epochs draw other samples of the larger class each time, as the seed says', () => {
    const store = openSampleStore(classified);
    const train = store.manifest.samples.filter(({ split }) => split === 'train');
    const few = [
      ...train.filter(({ label }) => label === 0).slice(0, 2),
      ...train.filter(({ label }) => label === 1),
    ];
    const drawn = (seed: number) =>
      Array.from({ length: 12 }, (_, epoch) =>
        [...trainingBatch(store, plan(few, { balance: 'sampling', seed }), epoch).indices].sort(
          (a, b) => a - b,
        ),
      );
    const epochs = drawn(1);
    for (const epoch of epochs) expect(epoch.slice(0, 2)).toEqual([0, 1]);
    // All of the larger class have their turn.
    expect(new Set(epochs.flat()).size).toBe(few.length);
    expect(drawn(1)).toEqual(epochs);
    expect(drawn(2)).not.toEqual(epochs);
  });

  test('masks become a channel a class; the last evaluation batch is filled up without weight', () => {
    const store = openSampleStore(masked);
    const samples = store.manifest.samples.slice(0, 5);
    const batches = [...evaluationBatches(store, samples, 4)];
    expect(batches.map(({ weight }) => [...weight])).toEqual([
      [1, 1, 1, 1],
      [1, 0, 0, 0],
    ]);
    const voxels = 16 * 16 * 8;
    expect(batches[0]!.mask!.subarray(2 * voxels, 3 * voxels)).toEqual(readSample(store, samples[2]!).mask);
  });

  test('validation looks at samples of all classes and places, in whatever order the store has them', () => {
    const { manifest } = openSampleStore(classified);
    const entry = manifest.samples[0]!;
    const samples = Array.from({ length: 1000 }, (_, i) => ({
      ...entry,
      ...{ id: `s${i}`, split: 'validation' as const, label: i < 750 ? 0 : 1 },
    }));
    const places = (count: number) =>
      validationSamples({ ...manifest, samples }, { samples: count }).map(({ id }) => Number(id.slice(1)));
    expect(places(8).map((place) => Math.floor(place / 125))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(places(2000)).toEqual(samples.map((_, i) => i));
    // Every second is of the other class.
    const mixed = samples.map((sample, i) => ({ ...sample, label: i % 2 }));
    const labels = validationSamples({ ...manifest, samples: mixed }, { samples: 10 }).map(
      ({ label }) => label,
    );
    expect(labels.filter((label) => label === 1)).toHaveLength(5);
  });

  test('a fraction is made of whole patients, and keeps every class', () => {
    const { manifest } = openSampleStore(classified);
    const all = trainingSamples(manifest, { fraction: 1, patients: null, seed: 1 });
    const third = (seed: number) => trainingSamples(manifest, { fraction: 0.3, patients: null, seed });
    for (let seed = 1; seed < 20; seed++) {
      const some = third(seed);
      expect(some.length).toBeLessThan(all.length);
      expect(new Set(some.map(({ label }) => label)).size).toBe(2);
      const patients = new Set(some.map(({ patient }) => patient));
      expect(some).toEqual(all.filter(({ patient }) => patients.has(patient)));
    }
    expect(third(1)).not.toEqual(third(2));
  });

  test('patients are counted, fewer of them are among more, and no more can be had than there are', () => {
    const { manifest } = openSampleStore(classified);
    const choose = (patients: number) => trainingSamples(manifest, { fraction: 1, patients, seed: 1 });
    const all = patientsOf(manifest.samples.filter(({ split }) => split === 'train'));
    expect(patientsOf(choose(4))).toHaveLength(4);
    expect(patientsOf(choose(all.length)).sort()).toEqual([...all].sort());
    expect(patientsOf(choose(5))).toEqual(expect.arrayContaining(patientsOf(choose(4))));
    // 0.07 · 100 is more than 7 in floating point.
    const entry = { ...manifest.samples[0]!, split: 'train' as const, label: 0 };
    const samples = Array.from({ length: 100 }, (_, i) => ({ ...entry, id: `s${i}`, patient: `p${i}` }));
    const share = { fraction: 0.07, patients: null, seed: 1 };
    expect(trainingSamples({ ...manifest, samples }, share)).toHaveLength(7);
    // The only mask with a voxel of the second class is always among them.
    const masks = samples.map((sample, i) => ({
      ...sample,
      label: null,
      classVoxels: [9, i === 50 ? 1 : 0],
    }));
    const segmented = { ...manifest, classes: ['a', 'b'], samples: masks };
    for (const seed of [1, 2, 3])
      expect(trainingSamples(segmented, { fraction: 1, patients: 1, seed }).map(({ id }) => id)).toContain(
        's50',
      );
    expect(() => choose(all.length + 1)).toThrow(/fewer training patients/);
    // Of many classes, a few patients bring those that are missing, and smaller choices are parts of larger ones.
    const rare = Array.from({ length: 900 }, (_, i) => ({
      ...{ ...entry, label: null, id: `s${i}`, patient: `p${i % 300}` },
      classVoxels: Array.from({ length: 6 }, (_, c) => (c === 0 || i === 100 * c ? 1 : 0)),
    }));
    const chosen = [1, 4, 40].map((patients) =>
      patientsOf(trainingSamples({ samples: rare }, { fraction: 1, patients, seed: 1 })),
    );
    expect(chosen[0]!.length).toBeLessThanOrEqual(6);
    for (const [i, larger] of chosen.slice(1).entries())
      expect(larger).toEqual(expect.arrayContaining(chosen[i]!));
  });
});
