import { repeatVoxels, sumPool } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { highLevel } from '../../onnx/ops/high-level.js';
import { resolveWindow, type spatial, type Window } from '../../onnx/ops/spatial.js';
import { type FloatType, GraphError, knownShape, sizeOf, type Value } from '../../onnx/types.js';
import { noGradient, type Rules } from '../rule.js';
import { convInputGradient, convolutionOf, convWeightGradient } from './convolution.js';

const known = (value: Value) => knownShape(value.shape, 'a gradient');
const biasGradient = (g: GraphBuilder, dy: Value) => g.add('ChannelSum', [dy]);

/** Whether windows tile the input without overlap. */
const tiles = ({ kernel_shape, strides, pads, dilations }: Required<Window>, x: Value): boolean =>
  kernel_shape.every((k, i) => k === strides[i] && dilations[i] === 1 && known(x)[i + 2]! % k === 0) &&
  pads.every((p) => p === 0);

/** dx of AveragePool: every window's share of dy, added up where windows overlap. */
function averagePoolGradient(
  g: GraphBuilder,
  x: Value,
  dy: Value,
  window: Required<Window>,
  countPad: boolean,
): Value {
  const [n, c, ...from] = known(x);
  const to = known(dy).slice(2);
  const rank = from.length;
  const { kernel_shape, strides, pads } = window;
  // How many values each window averages is a product over the axes.
  const counts = to.map((size, i) =>
    Array.from({ length: size }, (_, o) => {
      const start = o * strides[i]! - pads[i]!;
      const [low, high] = countPad ? [-pads[i]!, from[i]! + pads[i + rank]!] : [0, from[i]!];
      return Math.min(start + kernel_shape[i]!, high) - Math.max(start, low);
    }),
  );
  const share = counts.reduce((rest, count, i) => {
    const shape = to.map((size, axis) => (axis === i ? size : 1));
    return g.add('Div', [rest, g.floats(count, [1, 1, ...shape], dy.type as FloatType)]);
  }, dy);
  const ones = g.full(1, [1, 1, ...kernel_shape], dy.type);
  const planes = g.reshape(share, [n! * c!, 1, ...to]);
  const convolution = { ...window, group: 1 };
  return g.reshape(convInputGradient(g, planes, ones, convolution, [n! * c!, 1, ...from]), [n!, c!, ...from]);
}

const made = noGradient('it is a gradient itself; second derivatives are not supported');

export const spatialRules: Rules<keyof typeof spatial | keyof typeof highLevel> = {
  Conv: ({ g, inputs: [x, w], attributes, dy }) => {
    const convolution = convolutionOf(attributes, w!);
    return [
      () => convInputGradient(g, dy, w!, convolution, known(x!)),
      () => convWeightGradient(g, x!, dy, convolution),
      () => biasGradient(g, dy),
    ];
  },
  // The transposed convolution's gradients are a convolution's, with input and output changing places.
  ConvTranspose: ({ g, inputs: [x, w], attributes, dy }) => {
    const convolution = convolutionOf(attributes, w!);
    return [
      () => g.add('Conv', [dy, w!], convolution),
      () => convWeightGradient(g, dy, x!, convolution),
      () => biasGradient(g, dy),
    ];
  },
  UpsampleConv: ({ g, inputs: [x, w], dy }) => [
    () => g.add('UpsampleConvInputGrad', [dy, w!]),
    () => g.add('UpsampleConvWeightGrad', [x!, dy]),
    () => biasGradient(g, dy),
  ],
  BatchNorm: ({ g, inputs: [, scale], outputs: [y, , variance, centred], attributes, dy, gradients }) => {
    const [dOutput, dMean, dVariance, dCentred] = gradients;
    if (dCentred || !dOutput) throw new GraphError('BatchNorm has a gradient with its first output only');
    const count = sizeOf(known(y!)) / sizeOf(known(scale!));
    /** A factor for each channel, and 1 / count. */
    const share = (gradient: Value, factor: number) => {
      const along = y!.shape.map((_, i) => (i === 1 ? -1 : 1));
      return g.reshape(g.add('Mul', [gradient, g.scalar(factor / count, dy.type)]), along);
    };
    const statistics = (dx: Value) => {
      const withMean = dMean ? g.add('Add', [dx, share(dMean, 1)]) : dx;
      return dVariance ? g.add('Add', [withMean, g.add('Mul', [centred!, share(dVariance, 2)])]) : withMean;
    };
    let built: Value[] | undefined;
    const all = () => {
      built ??= g.addMany('BatchNormGrad', [dy, y!, centred!, scale!, variance!], attributes, 3);
      return built;
    };
    return [() => statistics(all()[0]!), () => all()[1]!, () => all()[2]!];
  },
  MaxPool: ({ g, inputs: [x], outputs: [y, given], attributes, dy }) => [
    () => {
      const window = resolveWindow(attributes, []);
      if (tiles(window, x!)) return g.add('MaxPoolGrad', [x!, y!, dy], { kernel_shape: window.kernel_shape });
      const indices = given ?? g.addMany('MaxPool', [x!], window, 2)[1]!;
      const shape = known(x!);
      const none = g.full(0, [sizeOf(shape)], dy.type);
      const flat = [indices, dy].map((value) => g.reshape(value, [-1]));
      return g.reshape(g.add('ScatterElements', [none, ...flat], { reduction: 'add' }), shape);
    },
  ],
  AveragePool: ({ g, inputs: [x], attributes, dy }) => [
    () => {
      const window = resolveWindow(attributes, []);
      if (!tiles(window, x!))
        return averagePoolGradient(g, x!, dy, window, attributes.count_include_pad === 1);
      const kernel = window.kernel_shape;
      return repeatVoxels(g, g.add('Mul', [dy, g.scalar(1 / sizeOf(kernel), dy.type)]), kernel);
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
  ChannelSum: made,
  ChannelAffine: noGradient('it is for evaluation: in training BatchNorm takes the statistics of the batch'),
  ConvRelu: noGradient('it is for fixed weights: in training use Conv and Relu'),
  MaxPoolGrad: made,
};
