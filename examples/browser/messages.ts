/** What the page and its worker say to each other. */
import type { WebProvider } from 'parts2whole/browser';

export interface Start {
  readonly kind: 'start';
  /** A NIfTI scan; a synthetic chest without it. */
  readonly scan: File | null;
  /** `weights.safetensors` to begin with; random ones without it. */
  readonly weights: File | null;
  readonly provider: WebProvider;
}
export type ToWorker = Start | { readonly kind: 'stop' };

/** An image [D,H,W] in [0,1]. @param size x, y, z */
export interface Image {
  readonly size: readonly [number, number, number];
  readonly voxels: Float32Array;
}

export type FromWorker =
  | { readonly kind: 'says'; readonly text: string }
  | { readonly kind: 'step'; readonly step: number; readonly loss: number; readonly seconds: number }
  | {
      readonly kind: 'validation';
      readonly step: number;
      readonly mse: number;
      readonly images: readonly Image[];
    }
  | { readonly kind: 'done'; readonly weights: Uint8Array; readonly encoder: Uint8Array }
  | { readonly kind: 'failed'; readonly message: string };
