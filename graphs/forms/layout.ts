/** How the values of a feature map lie in memory: as ONNX has them, or as slice pairs (`blocked/slice-pairs.ts`). */
export type Layout = 'plain' | 'slicePairs';

/** ONNX Runtime's blocked layout, NCHWc, on one engine. */
export interface BlockedLayout {
  /** Channels in a block. */
  readonly block: number;
  /** Large feature maps are worked on in parts of about this many voxels, which stay in the processor's cache. */
  readonly chunk: number;
}
