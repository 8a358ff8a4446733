/** What becomes of a scan's values before they are stored: CT keeps its HU, anything else is made comparable scan by scan. */
import { UserError } from '../../errors.js';
import { toInt16 } from '../../int16.js';
import type { Volume } from './volume.js';
import { FILL_HU } from './voxel-builder.js';

export const NORMALISATIONS = ['hu', 'minmax', 'zscore'] as const;
export type Normalisation = (typeof NORMALISATIONS)[number];

/** Tiles are int16: they hold thousandths of normalised values. */
export const THOUSANDTHS = 1000;

/** What the values of tiles are. */
interface Intensities {
  /** Of the values, in words. */
  readonly unit: string;
  /** How a scan is brought to them; null for values that are HU already. */
  readonly how: string | null;
  /** What becomes 0 and 1 in the network, unless the configuration says otherwise. */
  readonly window: { readonly low: number; readonly high: number };
}

export const INTENSITIES: Readonly<Record<Normalisation, Intensities>> = {
  // The window of chest CTs in Models Genesis and Parts2Whole.
  hu: { unit: 'Hounsfield units', how: null, window: { low: -1000, high: 1000 } },
  minmax: {
    unit: 'thousandths of the scan’s range',
    how: '1000 · (value − least) / (greatest − least) over the entire scan, rounded',
    window: { low: 0, high: 1000 },
  },
  // MR has a long bright tail; where much of a scan is background, that lies half a deviation below the mean.
  zscore: {
    unit: 'thousandths of a standard deviation from the scan’s mean',
    how: '1000 · (value − mean) / standard deviation over the entire scan, rounded',
    window: { low: -3000, high: 5000 },
  },
};

type Values = Pick<Volume, 'voxels' | 'nonFinite'>;

/** A scan's values x become (x − shift) / scale. Voxels that were no numbers do not count. */
export function intensityScale(
  { voxels, nonFinite = 0 }: Values,
  normalise: Exclude<Normalisation, 'hu'>,
): { readonly shift: number; readonly scale: number } {
  let [low, high, sum, squares, count] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (const value of voxels) {
    if (nonFinite > 0 && value === FILL_HU) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
    sum += value;
    squares += value * value;
    count++;
  }
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
  const [shift, scale] = normalise === 'minmax' ? [low, high - low] : [mean, deviation];
  return { shift, scale: scale || 1 };
}

/** Fewer values than these are no image any more. */
const LEAST_VALUES = 16;

/**
 * A scan in the values that tiles hold: HU as they are, or int16 thousandths of each scan's range or deviation.
 * @throws UserError of kind `input` when hardly anything of the image is left, as where a few outliers stretch its range
 * @example
 * const volume = normaliseVolume(await readVolume('brain.nii.gz'), 'zscore', 'brain.nii.gz');
 */
export function normaliseVolume(volume: Volume, normalise: Normalisation, where: string): Volume {
  if (normalise === 'hu') return volume;
  const { shift, scale } = intensityScale(volume, normalise);
  const { nonFinite = 0, beyondInt16: _, ...grid } = volume;
  const factor = THOUSANDTHS / scale;
  const voxels = new Int16Array(volume.voxels.length);
  for (let i = 0; i < voxels.length; i++) {
    const value = volume.voxels[i]!;
    const filled = nonFinite > 0 && value === FILL_HU;
    voxels[i] = filled ? -32768 : toInt16((value - shift) * factor);
  }
  const distinct = new Set(voxels).size;
  if (distinct < LEAST_VALUES)
    throw new UserError('input', {
      what: `after ${normalise} normalisation, this scan has almost no contrast left`,
      where,
      got: `${distinct} different values, probably because a few outliers stretch the range`,
      fix: 'clip the outliers first',
    });
  return { ...grid, voxels, ...(nonFinite > 0 && { nonFinite }) };
}
