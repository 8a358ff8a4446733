import { sumPool, upsampleNearest } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { highLevel } from '../../onnx/ops/high-level.js';
import { resolveWindow, type spatial, type Window } from '../../onnx/ops/spatial.js';
import { GraphError, knownShape, sizeOf, type Value } from '../../onnx/types.js';
import { noGradient, type Rules } from '../rule.js';

const known = (value: Value) => knownShape(value.shape, 'a gradient');
/** Sum over the batch and all positions: the gradient of a bias. */
const biasGradient = (g: GraphBuilder, dy: Value) =>
  g.sum(
    dy,
    dy.shape.map((_, i) => i).filter((i) => i !== 1),
    0,
  );

/** The window of a convolution. @throws GraphError for groups and dilations, which have no gradient here. */
function plainWindow(
  operator: string,
  a: { group: number; dilations: readonly number[] } & Partial<Window>,
  w: Value,
) {
  const { dilations, ...window } = resolveWindow(a, known(w).slice(2));
  if (a.group !== 1 || dilations.some((d) => d !== 1))
    throw new GraphError(`${operator} has a gradient for one group and no dilation only`);
  return window;
}

/** @throws GraphError unless the windows tile the input. */
function tilingKernel(operator: string, a: Parameters<typeof resolveWindow>[0], x: Value): readonly number[] {
  const { kernel_shape, strides, pads } = resolveWindow(a, []);
  const tiles =
    kernel_shape.every((k, i) => k === strides[i] && known(x)[i + 2]! % k === 0) &&
    pads.every((p) => p === 0);
  if (!tiles)
    throw new GraphError(`${operator} has a gradient only where its windows tile the input without overlap`);
  return kernel_shape;
}

const made = noGradient('it is a gradient itself; second derivatives are not supported');

export const spatialRules: Rules<keyof typeof spatial | keyof typeof highLevel> = {
  Conv: ({ g, inputs: [x, w], attributes, dy }) => {
    const window = plainWindow('Conv', attributes, w!);
    return [
      () => g.add('ConvInputGrad', [dy, w!], { ...window, input_shape: known(x!) }),
      () => g.add('ConvWeightGrad', [x!, dy], window),
      () => biasGradient(g, dy),
    ];
  },
  // The transposed convolution's gradients are a convolution's, with input and output changing places.
  ConvTranspose: ({ g, inputs: [x, w], attributes, dy }) => {
    const window = plainWindow('ConvTranspose', attributes, w!);
    return [
      () => g.add('Conv', [dy, w!], window),
      () => g.add('ConvWeightGrad', [dy, x!], window),
      () => biasGradient(g, dy),
    ];
  },
  UpsampleConv: ({ g, inputs: [x, w], dy }) => [
    () => g.add('UpsampleConvInputGrad', [dy, w!]),
    () => g.add('UpsampleConvWeightGrad', [x!, dy]),
    () => biasGradient(g, dy),
  ],
  BatchNorm: ({ g, inputs: [, scale], outputs: [y, , variance, centred], attributes, dy, gradients }) => {
    if (gradients.slice(1).some(Boolean))
      throw new GraphError('only the first output of BatchNorm has a gradient');
    let built: Value[] | undefined;
    const all = () => {
      built ??= g.addMany('BatchNormGrad', [dy, y!, centred!, scale!, variance!], attributes, 3);
      return built;
    };
    return [() => all()[0]!, () => all()[1]!, () => all()[2]!];
  },
  MaxPool: ({ g, inputs: [x], outputs: [y], attributes, dy }) => [
    () => g.add('MaxPoolGrad', [x!, y!, dy], { kernel_shape: tilingKernel('MaxPool', attributes, x!) }),
  ],
  AveragePool: ({ g, inputs: [x], attributes, dy }) => [
    () => {
      const kernel = tilingKernel('AveragePool', attributes, x!);
      return upsampleNearest(g, g.add('Mul', [dy, g.scalar(1 / sizeOf(kernel), dy.type)]), kernel);
    },
  ],
  GlobalAveragePool: ({ g, inputs: [x], dy }) => [
    () => {
      const shape = known(x!);
      const share = g.add('Mul', [dy, g.scalar(1 / sizeOf(shape.slice(2)), dy.type)]);
      return g.add('Expand', [share, g.integers(shape)]);
    },
  ],
  Resize: ({ g, inputs: [x], outputs: [y], attributes: { mode }, dy }) => [
    () => {
      if (mode !== 'nearest')
        throw new GraphError(`Resize has a gradient in mode "nearest" only, not "${mode}"`);
      const [from, to] = [known(x!), known(y!)];
      return sumPool(
        g,
        dy,
        from.slice(2).map((size, i) => to[i + 2]! / size),
      );
    },
    null,
    null,
  ],
  ConvInputGrad: made,
  ConvWeightGrad: made,
  UpsampleConvInputGrad: made,
  UpsampleConvWeightGrad: made,
  BatchNormGrad: made,
  ChannelAffine: noGradient('it is for evaluation: in training BatchNorm takes the statistics of the batch'),
  ConvRelu: noGradient('it is for fixed weights: in training use Conv and Relu'),
  MaxPoolGrad: made,
};
