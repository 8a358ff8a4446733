import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writePhantoms } from '../../src/commands/phantom.js';
import { worldToVoxel } from '../../src/data/scan/geometry.js';
import { readVolume } from '../../src/data/scan/index.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const size: XYZ = [64, 64, 48];
const phantom = (index: number, seed = 1) => makePhantom({ seed, index, size });

function statistics(values: Int16Array, where: (index: number) => boolean) {
  const chosen = values.filter((_, i) => where(i));
  const mean = chosen.reduce((a, b) => a + b, 0) / chosen.length;
  return { share: chosen.length / values.length, mean };
}

describe('a phantom', () => {
  test('is the same for the same seed and patient', () => {
    expect(phantom(3)).toEqual(phantom(3));
  });

  test('is like no other patient, and like no other seed', () => {
    const [a, b, c] = [phantom(0), phantom(1), phantom(0, 2)].map((p) => p.volume.voxels as Int16Array);
    const difference = (p: Int16Array, q: Int16Array) =>
      p.reduce((sum, v, i) => sum + Math.abs(v - q[i]!), 0) / p.length;
    expect(difference(a!, b!)).toBeGreaterThan(60);
    expect(difference(a!, c!)).toBeGreaterThan(60);
  });

  test.each([0, 1, 2, 3])('has the tissues of a chest, in HU (patient %d)', (index) => {
    const { volume, masks } = phantom(index);
    const voxels = volume.voxels as Int16Array;
    const lung = statistics(voxels, (i) => masks.lung.voxels[i] === 1);
    expect(lung.mean).toBeGreaterThan(-930);
    expect(lung.mean).toBeLessThan(-600);
    expect(lung.share).toBeGreaterThan(0.04);
    expect(lung.share).toBeLessThan(0.35);
    expect(statistics(voxels, (i) => voxels[i]! > 250).share).toBeGreaterThan(0.002); // bone
    expect(statistics(voxels, (i) => Math.abs(voxels[i]! + 100) < 40).share).toBeGreaterThan(0.01); // fat
    expect(statistics(voxels, (i) => Math.abs(voxels[i]! - 50) < 40).share).toBeGreaterThan(0.05); // muscle, organs
    expect(statistics(voxels, (i) => voxels[i]! < -950).share).toBeGreaterThan(0.3); // air around
  });

  test('has nodules where it says, of the size it says', () => {
    const found = Array.from({ length: 6 }, (_, index) =>
      makePhantom({ seed: 1, index, size: [128, 128, 96] }),
    );
    const all = found.flatMap((p) => p.nodules.map((nodule) => ({ p, nodule })));
    expect(all.length).toBeGreaterThan(5);
    // A smaller one may lie between the centres of the voxels around it.
    for (const { p, nodule } of all.filter(({ nodule: { diameterMm } }) => diameterMm > 8)) {
      const [x, y, z] = worldToVoxel(p.volume, nodule.world).map(Math.round) as unknown as XYZ;
      const index = x + 128 * (y + 128 * z);
      expect(p.masks.nodule.voxels[index]).toBe(1);
      expect(p.masks.lung.voxels[index]).toBe(1);
    }
    for (const p of found) {
      const voxelMm3 = p.volume.spacing.reduce((a, b) => a * b, 1);
      const volume = p.masks.nodule.voxels.reduce((a, b) => a + b, 0) * voxelMm3;
      const expected = p.nodules.reduce((sum, { diameterMm }) => sum + (Math.PI / 6) * diameterMm ** 3, 0);
      expect(Math.abs(volume - expected)).toBeLessThan(0.25 * expected + 12 * voxelMm3);
    }
  });
});

describe('writePhantoms', () => {
  test.each(['nii.gz', 'mhd'] as const)(
    'writes %s scans and their ground truth, the same bytes every time',
    async (format) => {
      const [a, b] = [temporaryFolder(), temporaryFolder()];
      const options = { scans: 2, size, seed: 5, format };
      const summary = await writePhantoms({ ...options, out: a });
      await writePhantoms({ ...options, out: b });
      const names = [
        `scans/phantom-0001.${format}`,
        'ground-truth/phantom-0001_nodules.nii.gz',
        'ground-truth/annotations.csv',
      ];
      for (const name of names)
        expect(readFileSync(join(a, name)).equals(readFileSync(join(b, name)))).toBe(true);
      const volume = await readVolume(summary.scans[1]!.path);
      const made = makePhantom({ seed: 5, index: 1, size });
      expect(volume.voxels).toEqual(made.volume.voxels);
      for (const axis of [0, 1, 2]) {
        expect(volume.origin[axis]).toBeCloseTo(made.volume.origin[axis]!, 3);
        expect(volume.spacing[axis]).toBeCloseTo(made.volume.spacing[axis]!, 4);
      }
      const [header, ...lines] = readFileSync(summary.annotations, 'utf8').trimEnd().split('\n');
      expect(header).toBe('seriesuid,coordX,coordY,coordZ,diameter_mm');
      expect(lines).toHaveLength(summary.scans.reduce((sum, scan) => sum + scan.nodules, 0));
      for (const line of lines) expect(line).toMatch(/^phantom-000[01](,-?\d+\.\d{3}){4}$/);
    },
  );

  test.each([
    [{ scans: 0 }, /--scans: this must be an integer of at least 1/],
    [{ size: [8, 64, 64] as XYZ }, /at least 16 voxels/],
    [{ size: [Number.NaN, 48, 32] as XYZ }, /NaNx48x32[\s\S]*integers/],
    [{ size: [16.5, 48, 32] as XYZ }, /16\.5x48x32[\s\S]*integers/],
    [{ size: [4096, 4096, 4096] as XYZ }, /at most/],
  ])('refuses %j', async (options, message) => {
    await expect(
      writePhantoms({ out: temporaryFolder(), scans: 1, size, seed: 1, format: 'mhd', ...options }),
    ).rejects.toThrow(message);
  });
});
