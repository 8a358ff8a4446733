import type { XYZ } from '../data/scan/volume.js';

/** One feature vector, and what it describes. */
export interface FeatureRow {
  /** Name of the scan. */
  readonly source: string;
  /** First voxel of the window or tile in its scan, x, y, z; null for a whole scan. */
  readonly offset: XYZ | null;
  /** Its middle in LPS mm. */
  readonly centre: XYZ | null;
  /** Windows or tiles that were averaged. */
  readonly windows: number;
  readonly features: Float32Array;
}
