/** What the page and its worker say to each other. */
import type { WebProvider } from 'parts2whole/browser';

export interface Start {
  /** A NIfTI scan; a synthetic chest without it. */
  readonly scan: File | null;
  /** `weights.safetensors` to begin with; random ones without it. */
  readonly weights: File | null;
  readonly provider: WebProvider;
}

/** An image [D,H,W] in [0,1]. @param size x, y, z */
export interface Image {
  readonly size: readonly [number, number, number];
  readonly voxels: Float32Array;
}

/** A part, its reconstruction and the whole. */
export type Images = readonly Image[];
