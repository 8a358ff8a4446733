/** Slices that are tilted, uneven or missing: which are interpolated, and which are refused. */
import { describe, expect, it } from 'vitest';
import { readScanHeader, readVolume } from '../../../../src/data/scan/index.js';
import { userErrorOf } from '../samples.js';
import { at, hu, PIXELS, seriesFolder } from './series-sample.js';
import { bytesOf, ctSeries, type Elements, slicePixels } from './writer.js';

const { write, read } = seriesFolder();

describe('slices that are not on one grid', () => {
  it('of a tilted gantry are straightened, and that is said', async () => {
    const tan = Math.tan((20 * Math.PI) / 180);
    // Each slice is the same slope along y: upright, all slices would show it at the same place in the patient.
    const size = [4, 24] as const;
    const slice = (z: number): Elements => ({
      ...at(-10, 20 + 3 * tan * z, 3 * z),
      '00280010': ['US', size[1]],
      '00280030': ['DS', '1\\1'],
      '7fe00010': [
        'OW',
        bytesOf(
          Int16Array.from({ length: size[0] * size[1] }, (_, i) =>
            Math.round(100 * (Math.floor(i / 4) + 3 * tan * z)),
          ),
        ),
      ],
    });
    const folder = write(ctSeries(4, slice));
    const volume = await readVolume(folder);
    expect(volume.resampled).toContain('tilted by 20.0°');
    expect(volume).toMatchObject({
      size: [4, 24 + Math.ceil(9 * tan), 4],
      spacing: [1, 1, 3],
      origin: [-10, 20, 0],
    });
    const [width, height] = volume.size;
    const value = (y: number, z: number) => volume.voxels[1 + width * (y + height * z)]!;
    for (const z of [0, 1, 2, 3]) expect(Math.abs(value(10, z) - (1000 - 24))).toBeLessThanOrEqual(1);
    expect(value(0, 3)).toBe(-24);
    const header = await readScanHeader(folder);
    expect(header.grid.size).toEqual(volume.size);
    expect(header.fields.resampled).toBe(volume.resampled);
  });

  it('tilted the other way keep all that they show', async () => {
    const volume = await read(ctSeries(3, (z) => at(-10, 20 - 1.5 * z, 2 * z)));
    expect(volume.size).toEqual([4, 3 + 4, 3]);
    expect(volume.origin).toEqual([-10, 20 - 3, 0]);
    // By whole voxels: every value is still there.
    const values = new Set<number>(volume.voxels);
    for (const value of hu([0, 1, 2])) expect(values.has(value), String(value)).toBe(true);
  });

  it('tilted sideways by half a pixel a slice are interpolated along the rows', async () => {
    const volume = await read(ctSeries(3, (z) => at(-10 + 0.25 * z, 20, 2 * z)));
    expect(volume).toMatchObject({ size: [5, 3, 3], origin: [-10, 20, 0] });
    const row = (z: number) => [...volume.voxels.subarray(15 * z, 15 * z + 5)];
    const first = (z: number) => slicePixels(z)[0]! - 24;
    const air = -524;
    expect(row(0)).toEqual([0, 7, 14, 21, 0].map((step, x) => (x < 4 ? first(0) + step : air)));
    expect(row(1)).toEqual([0, 4, 11, 18, 21].map((step) => first(1) + step));
    expect(row(2)).toEqual([0, 0, 7, 14, 21].map((step, x) => (x > 0 ? first(2) + step : air)));
    const back = await read(ctSeries(3, (z) => at(-10 - 0.25 * z, 20, 2 * z)));
    expect(back).toMatchObject({ size: [5, 3, 3], origin: [-10.5, 20, 0] });
  });

  it('of a little uneven spacing are interpolated, and that is said', async () => {
    const heights = [0, 2, 4.8, 6, 8];
    const volume = await read(ctSeries(5, (z) => at(-10, 20, heights[z]!)));
    expect(volume.resampled).toMatch(/interpolated to 2\.000 mm.*1\.20 to 2\.80 mm apart/);
    expect(volume.spacing[2]).toBe(2);
    expect(volume.voxels[2 * PIXELS]).toBe(Math.round(-524 + 100 * (1 + 2 / 2.8)));
    expect(volume.voxels[3 * PIXELS]).toBe(-524 + 300);
  });

  it.each<[string, number, RegExp, (z: number) => Elements]>([
    [
      'missing',
      5,
      /slices are missing from the series.*between -28\.00 and -24\.00 mm/,
      (z) => at(-10, 20, -30 + 2 * (z > 1 ? z + 1 : z)),
    ],
    [
      'unevenly spaced',
      5,
      /unevenly spaced.*of 0\.50 mm between.*give or take less than 50 %/,
      (z) => at(-10, 20, z === 2 ? 2.5 : 2 * z),
    ],
    [
      'missing where most others are, too',
      5,
      /unevenly spaced.*of 2\.00 mm between -30\.00 and -28\.00 mm.*every 4\.00 mm/,
      (z) => at(-10, 20, -30 + (z > 0 ? 4 * z - 2 : 0)),
    ],
    [
      'at one place',
      6,
      /several different slices.*1 of 6 slices.*-22\.00 mm/,
      (z) => at(-10, 20, -30 + 2 * Math.min(z, 4)),
    ],
    ['not in line', 5, /do not lie behind each other.*a slice at/, (z) => at(z === 3 ? 40 : -10, 20, 2 * z)],
    ['leaning too far', 5, /do not lie behind each other/, (z) => at(5 * z, 20, 2 * z)],
  ])('are refused when they are %s', async (_, count, message, more) => {
    const error = await userErrorOf(read(ctSeries(count, more)));
    expect(error.message.replaceAll('\n', ' ')).toMatch(message);
  });

  it('of a spacing of micrometres are read', async () => {
    const { spacing, resampled } = await read(ctSeries(3, (z) => at(-10, 20, 0.0015 * z)));
    expect([spacing[2], resampled]).toEqual([0.0015, undefined]);
  });

  it('of which there are three are refused when one of the gaps is twice as wide', async () => {
    const error = await userErrorOf(read(ctSeries(3, (z) => at(-10, 20, z === 2 ? 6 : 2 * z))));
    expect(error.message).toMatch(
      /slices are missing from the series\n.*of 4\.00 mm between 2\.00 and 6\.00 mm/,
    );
  });
});
