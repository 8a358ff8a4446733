/** Whether the values of a scan can be HU, and what they look like if they cannot. */
import { UserError } from '../../errors.js';
import type { Volume } from './volume.js';
import { FILL_HU } from './voxel-builder.js';

type Values = Pick<Volume, 'voxels' | 'nonFinite' | 'beyondInt16'>;

/** Air, lung and fat are below this: only scans of something else have hardly any voxel there. */
const SOFTER_THAN_WATER_HU = -50;
const LEAST_SHARE = 1e-3;

/** Voxels beyond int16 that are taken for flaws and clamped: one in ten thousand. */
const MOST_BEYOND_SHARE = 1e-4;

const SAMPLES = 65_536;

/** Values from all over a scan; without those that were no numbers in the file. */
function sampledValues({ voxels, nonFinite = 0 }: Values): Float32Array {
  const step = Math.ceil(voxels.length / SAMPLES) | 1; // odd: a scan's rows are mostly even
  const values = new Float32Array(Math.ceil(voxels.length / step));
  for (let i = 0; i < values.length; i++) values[i] = voxels[i * step]!;
  return nonFinite > 0 ? values.filter((value) => value !== FILL_HU) : values;
}

/** Three digits, and of large numbers all before the point. */
const short = (value: number) =>
  String(Math.abs(value) >= 100 && Math.abs(value) < 1e6 ? Math.round(value) : Number(value.toPrecision(3)));

/** `-3.16 … 8.05, 98 % of them in -3.16 … 2.58` */
function rangeOf(values: Values, sorted: Float32Array): string {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values.voxels) {
    if (values.nonFinite && value === FILL_HU) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return `${short(least)} … ${short(most)}, 98 % of them in ${short(at(0.01))} … ${short(at(0.99))}`;
}

/** What has values like these. @param sorted some of a scan's values */
function likeness(sorted: Float32Array): string {
  const [least, most] = [sorted[0]!, sorted.at(-1)!];
  const fractions = sorted.some((value) => !Number.isInteger(value));
  if (least >= -1 && most <= 1) return 'values scaled to 1';
  if (fractions && least < 0 && most < 100) return 'a z-score';
  if (least < 0) return 'soft tissue only, or MR';
  if (most <= 255) return 'an 8-bit image';
  if (most <= 4095) return 'a CT without its rescale intercept (for example −1024), or MR';
  return 'MR, PET or another modality';
}

/** What the values of a scan look like, when they do not look like HU; null when they do. */
export function unlikeHounsfield(values: Values): string | null {
  const sampled = sampledValues(values);
  let below = 0;
  for (const value of sampled) if (value < SOFTER_THAN_WATER_HU) below++;
  if (sampled.length === 0 || below / sampled.length >= LEAST_SHARE) return null;
  const sorted = sampled.sort();
  return `${rangeOf(values, sorted)}: looks like ${likeness(sorted)}`;
}

/**
 * @param trusted the user says that the values are HU
 * @throws UserError of kind `input` for a scan whose values are no HU
 */
export function checkHounsfield(values: Values, where: string, trusted: boolean): void {
  const { beyondInt16: beyond = 0 } = values;
  if (beyond > MOST_BEYOND_SHARE * values.voxels.length)
    throw new UserError('input', {
      what: 'the values of this scan cannot be HU',
      where,
      got: `${beyond} of ${values.voxels.length} voxels outside ±32768: ${rangeOf(values, sampledValues(values).sort())}`,
      expected: 'a CT in HU: air at −1000, water at 0',
      fix: 'check the data type, byte order, slope and intercept of the file; for other modalities, use --normalise minmax or zscore',
    });
  const look = trusted ? null : unlikeHounsfield(values);
  if (look === null) return;
  throw new UserError('input', {
    what: 'the values of this scan do not look like HU: there is no air or fat',
    where,
    got: look,
    expected: 'a CT in HU: air at −1000, water at 0',
    fix: 'use --normalise minmax or zscore for MR and other modalities; apply the rescale slope and intercept of a CT; --normalise hu accepts the values as HU anyway',
  });
}
