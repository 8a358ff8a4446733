import { asFloat } from '../onnx/blocks.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';

/** The window of intensities that is mapped to [0, 1]; everything outside is clipped. */
export interface HuWindow {
  readonly low: number;
  readonly high: number;
}

/** Depth, height, width in voxels. */
export type DHW = readonly [depth: number, height: number, width: number];

/** Clips HU to the window and maps it to [0, 1], as floats. */
export function normaliseHu(g: GraphBuilder, hu: Value, { low, high }: HuWindow): Value {
  const clipped = g.add('Clip', [asFloat(g, hu), g.scalar(low), g.scalar(high)]);
  return g.add('Mul', [g.add('Sub', [clipped, g.scalar(low)]), g.scalar(1 / (high - low))]);
}

/** x [N,1,D,H,W] averaged over blocks of `factors` voxels. */
export const averageBlocks = (g: GraphBuilder, x: Value, factors: DHW): Value =>
  factors.every((factor) => factor === 1)
    ? x
    : g.add('AveragePool', [x], { kernel_shape: factors, strides: factors });

/**
 * HU of any size [N,D,H,W], int16 or float32 → the network's input [N,1,D/f,H/f,W/f].
 * @param factors voxels that were averaged into one in training, along each axis
 */
export const encoderInput = (g: GraphBuilder, hu: Value, window: HuWindow, factors: DHW): Value =>
  averageBlocks(g, g.add('Unsqueeze', [normaliseHu(g, hu, window), g.integers([1])]), factors);
