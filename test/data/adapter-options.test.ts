/** Options that change the samples of a task, and those that it refuses because they could not. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeTaskPhantoms } from '../../src/commands/phantom-task.js';
import {
  formatPrepareSamples,
  type PrepareSamplesOptions,
  prepareSamples,
} from '../../src/commands/prepare-samples.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { temporaryFolder } from './store/tiles-sample.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
let stores = 0;
async function prepared(options: Omit<PrepareSamplesOptions, 'out'>) {
  const summary = await prepareSamples({ ...options, out: at(`store-${stores++}`) });
  return { summary, store: openSampleStore(summary.out) };
}

describe('lcs at another spacing', () => {
  const size: XYZ = [16, 16, 10];
  const grid = {
    size,
    spacing: [1, 1, 2] as XYZ,
    origin: [0, 0, 0] as XYZ,
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  };
  const count = 16 * 16 * 10;
  const lits = async () => {
    mkdirSync(at('lits'), { recursive: true });
    // 100 more from each voxel to the next along x; all of it is liver.
    const voxels = Int16Array.from({ length: count }, (_, i) => 100 * (i % 16) - 700);
    await writeNifti(at('lits/volume-0.nii'), { ...grid, voxels });
    await writeNifti(at('lits/segmentation-0.nii'), { ...grid, voxels: new Uint8Array(count).fill(1) });
    return { task: 'lcs', input: at('lits'), size: [4, 4, 4] as XYZ } as const;
  };

  test('its blocks lie side by side in the middle of the scan, at that spacing', async () => {
    const { summary, store } = await prepared({ ...(await lits()), spacing: [2, 2, 2] });
    expect(summary.failures).toEqual([]);
    const { samples } = store.manifest;
    expect(samples).toHaveLength(2 * 2 * 2);
    for (const { spacing } of samples) expect(spacing).toEqual([2, 2, 2]);
    const rows = samples.slice(0, 2).map((sample) => [...readSample(store, sample).image.subarray(0, 4)]);
    expect(rows).toEqual([
      [-650, -450, -250, -50],
      [150, 350, 550, 750],
    ]);
    for (const sample of samples)
      expect(readSample(store, sample).mask!.every((label) => label === 1)).toBe(true);
  });

  test('without it they are the scan’s own voxels', async () => {
    const { store } = await prepared(await lits());
    const { samples } = store.manifest;
    expect(samples).toHaveLength(4 * 4 * 2);
    expect(samples[0]!.spacing).toEqual([1, 1, 2]);
    expect([...readSample(store, samples[1]!).image.subarray(0, 4)]).toEqual([-300, -200, -100, 0]);
  });

  test('a scan with no room for one says so', async () => {
    const { summary } = await prepared({ ...(await lits()), spacing: [5, 5, 5] });
    expect(summary.failures[0]!.message).toMatch(
      /smaller than one sample[\s\S]*16×16×10 voxels of 1×1×2 mm[\s\S]*4×4×4 voxels of 5×5×5 mm[\s\S]*--size or --spacing/,
    );
  });
});

test.each([
  ['--spacing', { spacing: [2, 2, 2] as XYZ }],
  ['--normalise', { normalise: 'zscore' }],
] as const)('medmnist, which has no use for %s, refuses it', async (where, option) => {
  writeFileSync(at('any.npz'), '');
  await expect(prepared({ task: 'medmnist', input: at('any.npz'), ...option })).rejects.toThrow(
    new RegExp(
      `${where}: this option is for other tasks[\\s\\S]*manifest or ncc or ncs or lcs or ecc or bms`,
    ),
  );
});

test('ncc says that it thins validation and testing, too, where their scans are not known', async () => {
  const size: XYZ = [24, 24, 24];
  await writeTaskPhantoms({ task: 'ncc', out: at('subsets'), scans: 10, size });
  mkdirSync(at('flat'));
  cpSync(at('subsets/candidates_V2.csv'), at('flat/candidates_V2.csv'));
  for (let i = 0; i < 10; i++) cpSync(at(`subsets/subset${i}`), at('flat'), { recursive: true });
  const common = { task: 'ncc', size: [8, 8, 8] as XYZ } as const;
  const { summary } = await prepared({ ...common, input: at('flat'), negatives: 1 });
  expect(summary.notes).toEqual([expect.stringMatching(/no more than 1 other candidates?.*--negatives all/)]);
  expect(formatPrepareSamples(summary)).toContain(`note: ${summary.notes[0]}`);
  const all = await prepared({ ...common, input: at('flat'), negatives: Number.POSITIVE_INFINITY });
  expect(all.summary.notes).toEqual([]);
  expect(all.store.manifest.samples.length).toBeGreaterThan(
    Object.values(summary.splits).reduce((sum, { samples }) => sum + samples, 0),
  );
  const official = await prepared({ ...common, input: at('subsets'), negatives: 1 });
  expect(official.summary.notes).toEqual([]);
});
