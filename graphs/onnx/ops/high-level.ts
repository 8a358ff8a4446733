/**
 * High-level operators, of the internal domain: they say what is computed, not how. They exist between building and
 * lowering, where each becomes ONNX operators by one of the forms in `graphs/forms`. No file has them.
 */
import { float, INTERNAL_DOMAIN, int, operator, requiredInts, sameType } from '../operator.js';
import { formatShape, GraphError } from '../types.js';
import { grow, spatial } from './spatial.js';

const window = { kernel_shape: requiredInts, strides: requiredInts, pads: requiredInts };

export const highLevel = {
  /** Conv with a bias, at least 0: a layer of a network whose weights will not change any more. */
  ConvRelu: operator([3, 3], spatial.Conv.attributes, spatial.Conv.infer, INTERNAL_DOMAIN),
  /** dy [N,K,…], w [K,C,…] → dx of Conv(x, w), of shape `input_shape` [N,C,…]. */
  ConvInputGrad: operator(
    [2, 2],
    { ...window, input_shape: requiredInts },
    (inputs, { input_shape }) => [{ type: sameType(inputs), shape: input_shape }],
    INTERNAL_DOMAIN,
  ),
  /** x [N,C,…], dy [N,K,…] → dw [K,C,…] of Conv(x, w). */
  ConvWeightGrad: operator(
    [2, 2],
    window,
    (inputs, { kernel_shape }) => [
      { type: sameType(inputs), shape: [inputs[1]!.shape[1]!, inputs[0]!.shape[1]!, ...kernel_shape] },
    ],
    INTERNAL_DOMAIN,
  ),
  /** x [N,C,D,H,W], w [K,C,3,3,3], bias [K] → Conv("same") of x up-sampled ×2 by nearest neighbour, [N,K,2D,2H,2W]. */
  UpsampleConv: operator(
    [2, 3],
    {},
    (inputs) => {
      const [x, w] = [inputs[0]!, inputs[1]!];
      if (x.shape.length !== 5 || w.shape.slice(2).join() !== '3,3,3' || x.shape[1] !== w.shape[1])
        throw new GraphError(`input ${formatShape(x.shape)} and weights ${formatShape(w.shape)} do not fit`);
      const sizes = x.shape.slice(2).map((d) => grow(d, 2));
      return [{ type: sameType(inputs), shape: [x.shape[0]!, w.shape[0]!, ...sizes] }];
    },
    INTERNAL_DOMAIN,
  ),
  /** dy [N,K,2D,2H,2W], w [K,C,3,3,3] → dx [N,C,D,H,W] of UpsampleConv. */
  UpsampleConvInputGrad: operator(
    [2, 2],
    {},
    ([dy, w]) => {
      const sizes = dy!.shape.slice(2).map((d) => (d as number) / 2);
      return [{ type: dy!.type, shape: [dy!.shape[0]!, w!.shape[1]!, ...sizes] }];
    },
    INTERNAL_DOMAIN,
  ),
  /** x [N,C,D,H,W], dy [N,K,2D,2H,2W] → dw [K,C,3,3,3] of UpsampleConv. */
  UpsampleConvWeightGrad: operator(
    [2, 2],
    {},
    ([x, dy]) => [{ type: x!.type, shape: [dy!.shape[1]!, x!.shape[1]!, 3, 3, 3] }],
    INTERNAL_DOMAIN,
  ),
  /** x, y and dy of a MaxPool whose windows do not overlap → dx; a window's first maximum receives all. */
  MaxPoolGrad: operator([3, 3], { kernel_shape: requiredInts }, ([x]) => [x!], INTERNAL_DOMAIN),
  /**
   * Normalisation by the statistics of the batch: x [N,C,…], scale [C], bias [C] →
   * y = scale · (x − mean) / √(variance + epsilon) + bias, at least 0 with `relu`; mean [C];
   * variance [C] (divided by the count, not count − 1); x − mean, which the gradient needs.
   */
  BatchNorm: operator(
    [3, 3],
    { epsilon: float(1e-5), relu: int(0) },
    ([x, scale, bias]) => {
      const channels = x!.shape[1]!;
      if (scale!.shape.length !== 1 || scale!.shape[0] !== channels || bias!.shape[0] !== channels)
        throw new GraphError(
          `input ${formatShape(x!.shape)} and scale ${formatShape(scale!.shape)} do not fit`,
        );
      const statistic = { type: x!.type, shape: [channels] };
      return [x!, statistic, statistic, x!];
    },
    INTERNAL_DOMAIN,
  ),
  /** x [N,C,…], scale [C], bias [C] → scale · x + bias, at least 0 with `relu`: normalisation by fixed statistics. */
  ChannelAffine: operator([3, 3], { relu: int(0) }, ([x]) => [x!], INTERNAL_DOMAIN),
  /** x [N,C,…] → its sum over the batch and all positions, [C]: the gradient of a bias. */
  ChannelSum: operator([1, 1], {}, ([x]) => [{ type: x!.type, shape: [x!.shape[1]!] }], INTERNAL_DOMAIN),
  /** dy, y, x − mean, scale, variance of a BatchNorm → dx, dscale, dbias. */
  BatchNormGrad: operator(
    [5, 5],
    { epsilon: float(1e-5), relu: int(0) },
    ([, y, , scale]) => [y!, scale!, scale!],
    INTERNAL_DOMAIN,
  ),
};
