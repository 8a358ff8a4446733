/** Series of CT slices as tests write them, and what is to be found in them. */
import { readVolume } from '../../../../src/data/scan/index.js';
import { temporaryFolder } from '../samples.js';
import { ctSlice, dicomBytes, type Elements, PLANTED, SIZE, slicePixels, writeFiles } from './writer.js';

export const PIXELS = SIZE[0] * SIZE[1];
export const ROOT = PLANTED.at(-1)!;
/** Where the five slices of `ctSeries(5)` lie. */
export const GRID = {
  size: [4, 3, 5],
  spacing: [0.5, 0.75, 2],
  origin: [-10, 20, -30],
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};

/** A folder of its own for one test file: `file` is a path in it, `write` writes files into a new folder there, `read` reads them, too. */
export function seriesFolder() {
  const file = temporaryFolder();
  let folders = 0;
  const write = (files: Record<string, Uint8Array>) => writeFiles(file(`s${folders++}`), files);
  const read = (files: Record<string, Uint8Array>) => readVolume(write(files));
  return { file, write, read };
}

/** The voxels of slices, which are told by their numbers. */
export const hu = (slices: readonly number[]) =>
  Int16Array.from(slices.flatMap((z) => [...slicePixels(z)].map((value) => value - 24)));

/** The position of a slice, in mm. */
export const at = (x: number, y: number, z: number): Elements => ({
  '00200032': ['DS', `${x}\\${y}\\${z}`],
});
export const series = (number: number): Elements => ({ '0020000e': ['UI', `${ROOT}.3.${number}`] });

/** Two acquisitions 4 mm from slice to slice, the second of which is `offset` mm above the first. */
export function twoAcquisitions(
  count: number,
  offset: number,
  more: Elements = {},
): Record<string, Uint8Array> {
  const slices = [0, 1].flatMap((acquisition) =>
    Array.from({ length: count }, (_, z): [string, Uint8Array] => {
      const own: Elements = {
        ...at(-10, 20, 4 * z - 30 + acquisition * offset),
        '00080018': ['UI', `${ROOT}.${acquisition}.${z}`],
        '00200012': ['IS', `${acquisition + 1}`],
        '00281052': ['DS', `${-24 - acquisition}`],
      };
      return [`${z}${acquisition}`, dicomBytes(ctSlice(z, { ...own, ...more }))];
    }),
  );
  return Object.fromEntries(slices);
}
