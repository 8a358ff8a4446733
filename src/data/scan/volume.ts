/** Lengths along x, y, z: the order in which sizes are written in files and commands. */
export type XYZ = readonly [x: number, y: number, z: number];

/** Voxel values as they lie in memory: x fastest, then y, then z. */
export type Voxels = Int16Array | Float32Array;

/** Where a voxel grid lies in the patient. World coordinates are LPS millimetres, as in DICOM, ITK and LUNA16. */
export interface Grid {
  /** Voxels along x, y, z. */
  readonly size: XYZ;
  /** Distance of voxel centres in mm. */
  readonly spacing: XYZ;
  /** World position in mm of the centre of voxel (0, 0, 0). */
  readonly origin: XYZ;
  /** 3×3, row-major; column i is the world direction of voxel axis i. Orthonormal. */
  readonly direction: readonly number[];
}

/** A scan: values in HU (after slope and intercept) on a grid. Integral values that fit are int16. */
export interface Volume extends Grid {
  readonly voxels: Voxels;
  /** Voxels that were NaN or infinite in the file and now are −1024 HU; absent when there were none. */
  readonly nonFinite?: number;
  /** Voxels of `voxels` that int16 could only hold saturated; absent when there are none. */
  readonly beyondInt16?: number;
  /** How it was brought onto a grid with right angles and even spacing; absent when its file has it on one. */
  readonly resampled?: string;
}

/** A mask or segmentation: one label a voxel, 0 is background. */
export interface LabelMap extends Grid {
  readonly voxels: Uint8Array;
}
