import { alongAxis } from '../onnx/blocks.js';
import { range } from '../onnx/range.js';
import { GraphError, sizeOf, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** From the one that the node names on. */
const lastAxes = (n: StandardNode) => range(n.shape(0).length).slice(n.axis('axis', -1));

/** x without its mean over some axes, that mean, and 1 / √(variance + epsilon). */
function standardised({ g, f }: StandardNode, x: Value, axes: readonly number[], epsilon: number) {
  const mean = g.mean(x, axes);
  const centred = f.sub(x, mean);
  const inverse = g.add('Reciprocal', [f.sqrt(f.add(g.mean(f.mul(centred, centred), axes), epsilon))]);
  return { y: f.mul(centred, inverse), mean, inverse };
}

/** Each of `groups` × batch parts of x by its own mean and variance: a batch normalisation of as many channels. */
function byGroups(n: StandardNode, groups: number, epsilon: number): Value {
  const shape = n.shape(0);
  const parts = shape[0]! * groups;
  const x = n.g.reshape(n.input(0), [1, parts, sizeOf(shape) / parts]);
  const vector = (value: number) => n.g.full(value, [parts], x.type);
  const [y] = n.g.addMany('BatchNorm', [x, vector(1), vector(0)], { epsilon }, 4);
  return n.g.reshape(y!, shape);
}

/** scale · x + bias for each channel. */
function affine({ g, f }: StandardNode, x: Value, scale: Value, bias: Value): Value {
  const along = x.shape.map((_, i) => (i === 1 ? -1 : 1));
  return f.add(f.mul(x, g.reshape(scale, along)), g.reshape(bias, along));
}

function batchNormalization(n: StandardNode): readonly Value[] {
  const { f, g } = n;
  const [x, scale, bias, mean, variance] = range(5).map((i) => n.input(i)) as [
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const epsilon = n.float('epsilon', 1e-5);
  if (n.int('spatial', 1) !== 1)
    throw new GraphError('statistics of each place (spatial 0) are not supported');
  if (n.int('training_mode', 0) === 1) {
    const momentum = n.float('momentum', 0.9);
    const [y, batchMean, batchVariance] = g.addMany('BatchNorm', [x, scale, bias], { epsilon }, 4);
    const running = (old: Value, now: Value) => f.add(f.mul(old, momentum), f.mul(now, 1 - momentum));
    return [y!, running(mean, batchMean!), running(variance, batchVariance!)];
  }
  const factor = f.div(scale, f.sqrt(f.add(variance, epsilon)));
  return [affine(n, x, factor, f.sub(bias, f.mul(mean, factor)))];
}

export const normalisations: Translations = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: (n) =>
    affine(n, byGroups(n, n.shape(0)[1]!, n.float('epsilon', 1e-5)), n.input(1), n.input(2)),
  GroupNormalization: (n) => {
    const groups = n.int('num_groups', 1);
    const channels = n.shape(0)[1]!;
    // Up to version 20 there is one scale a group.
    const each = (i: number): Value => {
      const value = n.input(i);
      if (value.shape[0] === channels) return value;
      const repeated = n.g.add('Expand', [
        n.g.reshape(value, [groups, 1]),
        n.g.integers([groups, channels / groups]),
      ]);
      return n.g.reshape(repeated, [channels]);
    };
    return affine(n, byGroups(n, groups, n.float('epsilon', 1e-5)), each(1), each(2));
  },
  LayerNormalization: (n) => {
    const axes = lastAxes(n);
    const { y, mean, inverse } = standardised(n, n.input(0), axes, n.float('epsilon', 1e-5));
    const scaled = n.f.mul(y, n.input(1));
    const bias = n.optional(2);
    return [bias ? n.f.add(scaled, bias) : scaled, mean, inverse];
  },
  RMSNormalization: (n) => {
    const { f, g } = n;
    const x = n.input(0);
    const square = g.mean(f.mul(x, x), lastAxes(n));
    return f.mul(f.div(x, f.sqrt(f.add(square, n.float('epsilon', 1e-5)))), n.input(1));
  },
  MeanVarianceNormalization: (n) => {
    const { f, g } = n;
    const axes = n.ints('axes') ?? [0, 2, 3];
    const centred = f.sub(n.input(0), g.mean(n.input(0), axes));
    return f.div(centred, f.add(f.sqrt(g.mean(f.mul(centred, centred), axes)), 1e-9));
  },
  LpNormalization: (n) => {
    const { f, g } = n;
    const x = n.input(0);
    const axes = [n.axis('axis', -1)];
    const sum = n.int('p', 2) === 1 ? g.sum(f.abs(x), axes) : g.sum(f.mul(x, x), axes);
    // Zeros stay zeros.
    const safe = f.where(f.equal(sum, 0), g.scalar(1, x.type), sum);
    return f.div(x, n.int('p', 2) === 1 ? safe : f.sqrt(safe));
  },
  LRN: (n) => {
    const { f } = n;
    const x = n.input(0);
    const size = n.int('size', 1);
    const channels = n.shape(0)[1]!;
    const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
    const band = range(channels).map((i) =>
      range(channels).map((j) => Number(j >= i - before && j <= i + after)),
    );
    const squares = alongAxis(n.g, f.mul(x, x), band, 1);
    const base = f.add(f.mul(squares, n.float('alpha', 1e-4) / size), n.float('bias', 1));
    return f.div(x, f.pow(base, n.float('beta', 0.75)));
  },
};
