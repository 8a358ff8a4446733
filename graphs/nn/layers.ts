import type { GraphBuilder } from '../onnx/builder.js';
import { GraphError, type Value } from '../onnx/types.js';
import { normaliseByStatistics, unbiased } from './batch-norm.js';
import type { Initializer, NetworkBuilder } from './module.js';

const constant = (value: number): Initializer => ({ kind: 'constant', value });
/** Kernel [K,C,…]: fan-in C·taps, fan-out K·taps (Glorot & Bengio 2010, as Keras counts them). */
const glorot = (outputs: number, inputs: number, taps: number): Initializer => ({
  kind: 'glorotUniform',
  fanIn: inputs * taps,
  fanOut: outputs * taps,
});

const SAME_3 = { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1], strides: [1, 1, 1] };
const POOL_2 = { kernel_shape: [2, 2, 2], strides: [2, 2, 2] };

export interface NormOptions {
  readonly epsilon: number;
  /** Share of the old running statistic that an update keeps (Keras' convention: PyTorch's momentum is 1 − this). */
  readonly momentum: number;
  /** What evaluation normalises by. */
  readonly evalStatistics: 'running' | 'batch';
}

interface ConvBlock {
  readonly channels: number;
  readonly norm: NormOptions;
  /** Up-samples ×2 (nearest neighbour) before the convolution. */
  readonly upsample?: boolean;
  /** Feature maps whose channels follow those of x, as if both were joined. */
  readonly skip?: Value | undefined;
}

const inputChannels = (x: Value, { skip }: ConvBlock): number =>
  (x.shape[1] as number) + ((skip?.shape[1] ?? 0) as number);

/** Kernels of x, and of the skip where there is one. */
type Kernels = readonly [own: Value, skipped?: Value];

/** A convolution of joined channels is the sum of one convolution each, so nothing has to be joined. */
function convolution(
  g: GraphBuilder,
  x: Value,
  [own, skipped]: Kernels,
  bias: Value | null,
  { upsample, skip }: ConvBlock,
): Value {
  const operands = bias ? [x, own, bias] : [x, own];
  const convolved = upsample ? g.add('UpsampleConv', operands) : g.add('Conv', operands, SAME_3);
  return skip ? g.add('Add', [convolved, g.add('Conv', [skip, skipped!], SAME_3)]) : convolved;
}

/** The kernels in a weight of joined channels. */
function kernelsOf(g: GraphBuilder, x: Value, weight: Value, { skip }: ConvBlock): Kernels {
  if (!skip) return [weight];
  const sizes = g.integers([x.shape[1] as number, skip.shape[1] as number]);
  return g.addMany('Split', [weight, sizes], { axis: 1 }, 2) as unknown as Kernels;
}

/** Stored kernels: input channels `from` to `to` of a weight [K,C,3,3,3]. */
function storedKernels(
  net: NetworkBuilder,
  name: string,
  weight: Float32Array,
  [channels, inputs]: readonly [channels: number, inputs: number],
  [from, to]: readonly [from: number, to: number],
): Value {
  const taps = 27;
  const values = weight.filter((_, i) => {
    const input = Math.floor(i / taps) % inputs;
    return input >= from && input < to;
  });
  return net.stored(name, [channels, to - from, 3, 3, 3], values);
}

/**
 * 3×3×3 convolution with bias, BatchNorm, ReLU: x [N,C,D,H,W] → [N,channels,D,H,W] (twice the size with `upsample`).
 * Parameters: `<path>.conv<i>.{weight,bias}`, `<path>.norm<i>.{weight,bias,running_mean,running_var}`.
 */
export function convNormRelu(
  net: NetworkBuilder,
  path: string,
  index: number,
  x: Value,
  block: ConvBlock,
): Value {
  const { channels, norm } = block;
  const inputs = inputChannels(x, block);
  return net.g.scope(`${path}.${index}`, () => {
    if (typeof net.purpose !== 'string') return net.g.add('Relu', [foldedConv(net, path, index, x, block)]);
    const weight = net.parameter(
      `${path}.conv${index}.weight`,
      [channels, inputs, 3, 3, 3],
      glorot(channels, inputs, 27),
    );
    const bias = net.parameter(`${path}.conv${index}.bias`, [channels], constant(0));
    // Batch statistics take the bias out again: it only shifts the mean, and its gradient is exactly zero.
    const batch = net.purpose === 'training' || norm.evalStatistics === 'batch';
    const kernels = kernelsOf(net.g, x, weight, block);
    const convolved = convolution(net.g, x, kernels, batch ? null : bias, block);
    return normRelu(net, `${path}.norm${index}`, convolved, norm, batch ? bias : null);
  });
}

/**
 * The convolution with the normalisation that follows it multiplied in: with a = scale/√(variance + ε),
 * w′ = a·w and bias′ = a·(bias − mean) + offset. @throws GraphError when evaluation uses batch statistics.
 */
function foldedConv(net: NetworkBuilder, path: string, index: number, x: Value, block: ConvBlock): Value {
  const { channels, norm } = block;
  if (norm.evalStatistics === 'batch')
    throw new GraphError(
      'a network that is evaluated with batch statistics has no folded form: use running statistics',
    );
  const inputs = inputChannels(x, block);
  const of = (name: string) => net.trained(`${path}.${name}`);
  const [scale, offset] = [of(`norm${index}.weight`), of(`norm${index}.bias`)];
  const [mean, variance] = [of(`norm${index}.running_mean`), of(`norm${index}.running_var`)];
  const slope = scale.map((s, k) => s / Math.sqrt(variance[k]! + norm.epsilon));
  const taps = inputs * 27;
  const weight = of(`conv${index}.weight`).map((w, i) => w * slope[Math.floor(i / taps)]!);
  const bias = of(`conv${index}.bias`).map((b, k) => slope[k]! * (b - mean[k]!) + offset[k]!);
  const name = `${path}.conv${index}`;
  const own = x.shape[1] as number;
  const part = (as: string, from: number, to: number) =>
    storedKernels(net, as, weight, [channels, inputs], [from, to]);
  const first = part(`${name}.weight`, 0, own);
  const kernels: Kernels = block.skip ? [first, part(`${name}.weight.skip`, own, inputs)] : [first];
  return convolution(net.g, x, kernels, net.stored(`${name}.bias`, [channels], bias), block);
}

/** @param shift what the layer before left out of x: a bias that normalisation would remove */
function normRelu(
  net: NetworkBuilder,
  path: string,
  x: Value,
  norm: NormOptions,
  shift: Value | null,
): Value {
  const { g } = net;
  const channels = [x.shape[1] as number];
  const scale = net.parameter(`${path}.weight`, channels, constant(1));
  const bias = net.parameter(`${path}.bias`, channels, constant(0));
  const runningMean = net.parameter(`${path}.running_mean`, channels, constant(0), false);
  const runningVariance = net.parameter(`${path}.running_var`, channels, constant(1), false);
  if (!shift)
    return normaliseByStatistics(g, x, [scale, bias, runningMean, runningVariance], {
      epsilon: norm.epsilon,
      relu: 1,
    });
  const attributes = { epsilon: norm.epsilon, relu: 1 };
  const [y, mean, variance] = g.addMany('BatchNorm', [x, scale, bias], attributes, 4);
  if (net.purpose === 'training') {
    const { momentum } = norm;
    net.statistics.set(`${path}.running_mean`, { now: g.add('Add', [mean!, shift]), momentum });
    net.statistics.set(`${path}.running_var`, { now: unbiased(g, variance!, x), momentum });
  }
  return y!;
}

/** Halves every spatial size by the maximum of 2×2×2 voxels. */
export const maxPool = (net: NetworkBuilder, x: Value): Value => net.g.add('MaxPool', [x], POOL_2);

/** Doubles every spatial size by a transposed 2×2×2 convolution: `<path>.{weight,bias}`, C → C channels. */
export function deconvolution(net: NetworkBuilder, path: string, x: Value): Value {
  const c = x.shape[1] as number;
  const weight = net.parameter(`${path}.weight`, [c, c, 2, 2, 2], glorot(c, c, 8));
  const bias = net.parameter(`${path}.bias`, [c], constant(0));
  return net.g.add('ConvTranspose', [x, weight, bias], POOL_2);
}

/** Mixes channels voxel by voxel: `<path>.{weight,bias}`, [N,C,…] → [N,channels,…]. */
export function pointwise(net: NetworkBuilder, path: string, x: Value, channels: number): Value {
  const inputs = x.shape[1] as number;
  const taps = x.shape.slice(2).map(() => 1);
  const weight = net.parameter(`${path}.weight`, [channels, inputs, ...taps], glorot(channels, inputs, 1));
  const bias = net.parameter(`${path}.bias`, [channels], constant(0));
  return net.g.add('Conv', [x, weight, bias], { kernel_shape: taps });
}

/** Every output a weighted sum of all inputs: `<path>.{weight,bias}`, [N,C] → [N,outputs]. */
export function dense(net: NetworkBuilder, path: string, x: Value, outputs: number): Value {
  const inputs = x.shape[1] as number;
  const weight = net.parameter(`${path}.weight`, [outputs, inputs], glorot(outputs, inputs, 1));
  const bias = net.parameter(`${path}.bias`, [outputs], constant(0));
  return net.g.add('Gemm', [x, weight, bias], { transB: 1 });
}
