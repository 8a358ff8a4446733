import { expect, test } from 'vitest';
import { classNotes } from '../../../src/data/samples/check.js';
import type { SampleEntry, SampleManifest } from '../../../src/data/samples/manifest.js';

test('classes that a split lacks are said, of labels as of masks', () => {
  const classes = ['a', 'b', 'c'];
  const labelled = [0, 1, 0].map((label) => ({ label, classVoxels: null }) as SampleEntry);
  const manifest = { kind: 'classification', classes } as unknown as SampleManifest;
  expect(classNotes(labelled, 'train', manifest)).toEqual([
    'none of the train samples is of class c: it cannot be learnt',
  ]);
  expect(classNotes([...labelled, { ...labelled[0]!, label: 2 }], 'train', manifest)).toEqual([]);
  const masked = [{ label: null, classVoxels: [3, 0, 0] } as unknown as SampleEntry];
  expect(classNotes(masked, 'test', { ...manifest, kind: 'segmentation' })).toEqual([
    'no mask of the test samples has a voxel of b or c: it cannot be measured',
  ]);
});
