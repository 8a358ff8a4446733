import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import { expect, test } from 'vitest';
import { prepareSamples } from '../../../src/commands/prepare-samples.js';
import { openSampleStore, readSample } from '../../../src/data/samples/store.js';
import { npyHeader } from '../../../src/data/scan/npy.js';
import { temporaryFolder } from '../store/tiles-sample.js';

const folder = temporaryFolder();

test('MedMNIST’s arrays become padded samples with its own split', async () => {
  const array = (shape: number[], values: number[]) =>
    Buffer.concat([npyHeader('uint8', shape), Uint8Array.from(values)]);
  const images = (n: number) =>
    array(
      [n, 6, 6, 6],
      Array.from({ length: n * 216 }, (_, i) => i % 256),
    );
  const path = join(folder, 'mini.npz');
  writeFileSync(
    path,
    zipSync({
      'train_images.npy': images(3),
      'train_labels.npy': array([3, 1], [0, 1, 1]),
      'val_images.npy': images(2),
      'val_labels.npy': array([2, 1], [0, 1]),
      'test_images.npy': images(2),
      'test_labels.npy': array([2, 1], [1, 0]),
    }),
  );
  const out = join(folder, 'mini');
  await prepareSamples({ task: 'medmnist', input: path, out });
  const store = openSampleStore(out);
  expect(store.manifest).toMatchObject({
    size: [8, 8, 8],
    window: { low: 0, high: 255 },
    classes: ['0', '1'],
  });
  expect(store.manifest.samples.map(({ split, label }) => `${split} ${label}`)).toEqual([
    ...['train 0', 'train 1', 'train 1', 'validation 0', 'validation 1', 'test 1', 'test 0'],
  ]);
  const { image } = readSample(store, store.manifest.samples[1]!);
  expect(image[0]).toBe(0);
  expect(image[1 + 8 * (1 + 8)]).toBe(216);

  const named = { task: 'medmnist', input: path, out, classes: ['only'] } as const;
  await expect(prepareSamples(named)).rejects.toThrow(/more classes than --classes[\s\S]*up to 1/);

  writeFileSync(path, zipSync({ 'train_images.npy': images(3), 'readme.npy': strToU8('x') }));
  await expect(prepareSamples({ task: 'medmnist', input: path, out })).rejects.toThrow(/readme/);
});
