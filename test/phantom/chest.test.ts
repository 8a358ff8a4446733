import { describe, expect, test } from 'vitest';
import { worldToVoxel } from '../../src/data/scan/geometry.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { hilumOf, mediastinumOf } from '../../src/phantom/mediastinum.js';
import { drawPatient, SIDES, signOf } from '../../src/phantom/patient.js';
import { randomStream } from '../../src/random.js';

const size: XYZ = [96, 96, 48];

describe('a phantom chest', () => {
  const phantoms = [0, 1, 2, 3].map((index) => makePhantom({ seed: 7, index, size }));

  test('has every voxel of every nodule within the lungs, and a voxel for each', () => {
    for (const { masks, nodules, volume } of phantoms) {
      expect(nodules.length).toBeGreaterThan(0);
      const nodule = masks.nodule.voxels;
      expect(nodule.every((value, i) => value <= masks.lung.voxels[i]!)).toBe(true);
      for (const { world, diameterMm } of nodules) {
        // The nearest voxel that is marked lies no further away than the ball reaches.
        const at = worldToVoxel(volume, world);
        let marked = 0;
        nodule.forEach((value, i) => {
          const voxel = [i % 96, Math.floor(i / 96) % 96, Math.floor(i / 96 ** 2)];
          const mm = voxel.map((v, a) => (v - at[a]!) * volume.spacing[a]!);
          if (value === 1 && Math.hypot(...mm) <= diameterMm / 2) marked++;
        });
        expect(marked).toBeGreaterThan(0);
      }
    }
  });

  test('has denser solid nodules than ground-glass ones', () => {
    const means = { solid: [] as number[], 'ground-glass': [] as number[] };
    for (let index = 0; index < 9; index++) {
      const { volume, nodules } = makePhantom({ seed: 9, index, size });
      for (const { world, diameterMm, kind } of nodules) {
        if (diameterMm < 12) continue;
        const [x, y, z] = worldToVoxel(volume, world).map(Math.round) as unknown as XYZ;
        means[kind].push(volume.voxels[x + 96 * (y + 96 * z)]!);
      }
    }
    expect(means.solid.length).toBeGreaterThan(2);
    expect(means['ground-glass'].length).toBeGreaterThan(0);
    expect(Math.min(...means.solid)).toBeGreaterThan(-150);
    expect(Math.max(...means['ground-glass'])).toBeLessThan(-250);
  });

  test('has two lungs of the size of an adult', () => {
    for (const { masks, volume } of phantoms) {
      const ml = volume.spacing.reduce((a, b) => a * b) / 1000;
      const count = (side: 1 | -1) =>
        masks.lung.voxels.reduce((sum, v, i) => sum + (((i % 96) - 47.5) * side > 0 ? v : 0), 0) * ml;
      for (const side of SIDES) {
        expect(count(signOf(side))).toBeGreaterThan(700);
        expect(count(signOf(side))).toBeLessThan(4000);
      }
    }
  });

  test('is the same chest at another size', () => {
    const [small, large] = [phantoms[0]!, makePhantom({ seed: 7, index: 0, size: [192, 192, 96] })];
    const ml = ({ masks, volume }: typeof small) =>
      (masks.lung.voxels.reduce((a, b) => a + b, 0) * volume.spacing.reduce((a, b) => a * b)) / 1000;
    expect(ml(large) / ml(small)).toBeGreaterThan(0.97);
    expect(ml(large) / ml(small)).toBeLessThan(1.03);
  });

  test('covers a chest with the spacing it is given, or one of its own', () => {
    const { volume } = makePhantom({ seed: 7, index: 1, size, spacing: [3, 3, 5] });
    expect(volume.spacing).toEqual([3, 3, 5]);
    for (const { volume: own } of phantoms) {
      const extent = own.spacing.map((mm, axis) => mm * size[axis]!);
      expect(extent[0]).toBe(extent[1]);
      expect(extent[0]! > 320 && extent[0]! < 380).toBe(true);
      expect(extent[2]! > 260 && extent[2]! < 300).toBe(true);
    }
  });
});

describe('patients', () => {
  const patients = Array.from({ length: 300 }, (_, i) => drawPatient(randomStream(1, 'patients', i)));

  test('have blood, muscle, fat and bone within the ranges of CT', () => {
    for (const { hu } of patients) {
      for (const blood of [hu.arteries, hu.veins]) expect(blood >= 40 && blood <= 190).toBe(true);
      expect(hu.lung >= -900 && hu.lung <= -800).toBe(true);
      expect(hu.fat >= -120 && hu.fat <= -85).toBe(true);
      expect(hu.cortical > hu.cancellous && hu.cortical <= 1000).toBe(true);
    }
  });

  test('are healthy or ill, with and without contrast medium', () => {
    const share = (of: (patient: (typeof patients)[number]) => boolean) =>
      patients.filter(of).length / patients.length;
    // Of 300, three standard deviations.
    expect(Math.abs(share(({ disease }) => disease.emphysema > 0) - 0.3)).toBeLessThan(0.08);
    for (const is of [
      share(({ disease }) => disease.effusion.left + disease.effusion.right > 0),
      share(({ disease }) => disease.consolidations > 0),
      share(({ hu }) => hu.arteries > 40),
    ])
      expect(is > 0.1 && is < 0.7).toBe(true);
  });

  test('have the hila on their sides, and organs that are not inside out', () => {
    for (const patient of patients) {
      for (const side of SIDES) {
        const { artery, bronchus, veins } = hilumOf(patient, side);
        for (const [x] of [artery, bronchus, ...veins]) expect(x * signOf(side)).toBeGreaterThan(15);
      }
      for (const { shape } of mediastinumOf(patient)) {
        const radii = 'centre' in shape ? shape.radii : shape.points.map((point) => point[3]);
        expect(Math.min(...radii)).toBeGreaterThan(0);
      }
    }
  });
});
