/** Small labelled data sets in the layouts that users have. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import type { Volume, XYZ } from '../../../src/data/scan/volume.js';
import { randomStream } from '../../../src/random.js';

const GRID = { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } as const;

/** Noise of lung HU, with a bright ball at a random place near the middle where `radius` is above 0. */
export function ballScan(size: XYZ, radius: number, seed: number): { image: Volume; ball: Uint8Array } {
  const random = randomStream(seed, 'ball');
  const [width, height, depth] = size;
  const centre = size.map((n) => n / 2 + random.between(-1.5, 1.5));
  const voxels = new Int16Array(width * height * depth);
  const ball = new Uint8Array(voxels.length);
  for (let at = 0; at < voxels.length; at++) {
    const place = [at % width, Math.floor(at / width) % height, Math.floor(at / (width * height))];
    const inside = Math.hypot(...place.map((p, i) => p - centre[i]!)) < radius;
    ball[at] = inside ? 1 : 0;
    voxels[at] = Math.round((inside ? 40 : -850) + 120 * random.normal());
  }
  return { image: { size, ...GRID, voxels }, ball };
}

/** A folder with `images/`, `labels/` and a table `table.csv`; every second patient's images have no ball. */
export async function writeBalls(
  folder: string,
  { patients, each, size }: { patients: number; each: number; size: XYZ },
): Promise<void> {
  for (const name of ['images', 'labels']) mkdirSync(join(folder, name), { recursive: true });
  const lines = ['file,diagnosis,person'];
  for (let patient = 0; patient < patients; patient++) {
    for (let i = 0; i < each; i++) {
      const has = patient % 2 === 1;
      const file = `p${String(patient).padStart(2, '0')}_${i}.nii.gz`;
      const { image, ball } = ballScan(size, has ? 3.5 : 0, 100 * patient + i);
      await writeNifti(join(folder, 'images', file), image);
      await writeNifti(join(folder, 'labels', file), { ...image, voxels: ball });
      lines.push(`${file},${has ? 'ball' : 'none'},patient ${patient}`);
    }
  }
  writeFileSync(join(folder, 'table.csv'), `${lines.join('\n')}\n`);
}

/** How the table of {@link writeBalls} is to be read. */
export const BALL_COLUMNS = {
  image: 'images/{file}',
  label: '{diagnosis}',
  patient: '{person}',
} as const;
