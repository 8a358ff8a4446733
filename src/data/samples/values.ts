/** What the values of samples are: HU, or what a normalisation makes of them. */
import { asInt16 } from '../../int16.js';
import { INTENSITIES, intensityScale, type Normalisation, THOUSANDTHS } from '../scan/normalise.js';
import type { Volume, Voxels } from '../scan/volume.js';
import { FILL_HU } from '../scan/voxel-builder.js';
import type { SampleFormat } from './manifest.js';
import type { SampleVoxels } from './store.js';

/** Values outside of a scan: air where they are HU. Other values repeat those at the scan's border. */
const OUTSIDE_HU = -1000;

/**
 * Cuts values out of a volume.
 * @param outside what there is where the volume ends; null repeats its border
 */
export type Crop = (volume: Volume, outside: number | null) => Voxels;

/**
 * Gives crops of a scan the values of samples. Statistics are the whole scan's, so that all crops of it are normalised alike; voxels that
 * were no numbers become the least value of the window.
 */
export function normaliser(volume: Volume, normalise: Normalisation): (crop: Crop) => SampleVoxels {
  if (normalise === 'hu') return (crop) => asInt16(crop(volume, OUTSIDE_HU));
  const { shift, scale } = intensityScale(volume, normalise);
  const least = shift + (scale * INTENSITIES[normalise].window.low) / THOUSANDTHS;
  const scan = volume.nonFinite ? withFilled(volume, least) : volume;
  return (crop) => Float32Array.from(crop(scan, null), (value) => (value - shift) / scale);
}

/** A scan with another value where its voxels were no numbers: before it is resampled, which would mix it with its neighbours. */
const withFilled = ({ voxels, ...grid }: Volume, fill: number): Volume => ({
  ...grid,
  voxels: Float32Array.from(voxels, (value) => (value === FILL_HU ? fill : value)),
});

/**
 * What format a normalisation gives: what goes into the network is in [0, 1], as in pre-training.
 * @param window of tiles, what becomes 0 and 1; of `minmax` always 0 and 1000
 */
export function valuesOf(
  normalise: Normalisation = 'hu',
  { low, high } = INTENSITIES[normalise].window,
): Pick<SampleFormat, 'type' | 'window'> {
  if (normalise === 'hu') return { type: 'int16', window: { low, high } };
  if (normalise === 'minmax') return { type: 'float32', window: null };
  return { type: 'float32', window: { low: low / THOUSANDTHS, high: high / THOUSANDTHS } };
}

/** The normalisation that gives a format; the inverse of {@link valuesOf}. */
export function normalisationOf({ type, window }: Pick<SampleFormat, 'type' | 'window'>): Normalisation {
  if (type === 'int16') return 'hu';
  return window === null ? 'minmax' : 'zscore';
}

/** Whether values are grey values of a known range, such as 0 to 255, and not HU. */
const isGrey = ({ type, window }: Pick<SampleFormat, 'type' | 'window'>): boolean => {
  const { low, high } = INTENSITIES.hu.window;
  return type === 'int16' && window !== null && (window.low !== low || window.high !== high);
};

/** What tiles of samples hold: see {@link tileValues}. */
export const tileNormalisationOf = (format: Pick<SampleFormat, 'type' | 'window'>): Normalisation =>
  isGrey(format) ? 'minmax' : normalisationOf(format);

/** Values of samples as tiles hold them are (value − offset) · scale: HU, or thousandths, of grey values of their known range. */
export function tileScaleOf(format: Pick<SampleFormat, 'type' | 'window'>): {
  offset: number;
  scale: number;
} {
  if (tileNormalisationOf(format) === 'hu') return { offset: 0, scale: 1 };
  const { low, high } = isGrey(format) ? format.window! : { low: 0, high: 1 };
  return { offset: low, scale: THOUSANDTHS / (high - low) };
}

/** Values of samples as tiles hold them, before they are rounded. */
export function tileValues(
  values: SampleVoxels,
  format: Pick<SampleFormat, 'type' | 'window'>,
): SampleVoxels {
  if (tileNormalisationOf(format) === 'hu') return values;
  const { offset, scale } = tileScaleOf(format);
  return Float32Array.from(values, (value) => (value - offset) * scale);
}
