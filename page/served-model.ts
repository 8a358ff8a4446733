import { INTENSITIES } from '../src/data/scan/normalise.js';
import type { XYZ } from '../src/data/scan/volume.js';

/** What the page uses of an entry of `/v1/models`. */
export interface ServedModel {
  readonly name: string;
  readonly kind: 'encoder' | 'autoencoder' | 'classifier' | 'segmenter';
  readonly sha256: string;
  readonly window: XYZ;
  readonly spacing: XYZ | null;
  readonly normalise: 'hu' | 'minmax' | 'zscore';
  readonly metadata: Readonly<Record<string, string>>;
  readonly classes: readonly string[];
  readonly inputs: readonly [
    { readonly name: string; readonly type: 'float32' | 'int16'; readonly shape: readonly number[] },
  ];
}

/** The values that a model tells apart. */
export const windowOf = ({ metadata, normalise }: ServedModel): { low: number; high: number } =>
  metadata.window === undefined ? INTENSITIES[normalise].window : JSON.parse(metadata.window);
