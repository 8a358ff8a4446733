import type { GraphBuilder } from '../onnx/builder.js';
import { sizeOf, type Value } from '../onnx/types.js';

export type OptimizerOptions =
  | {
      readonly name: 'adam' | 'adamw';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly weightDecay: number;
    }
  | { readonly name: 'sgd'; readonly momentum: number; readonly weightDecay: number };

/** Names of the state tensors that an optimiser keeps for each parameter, of the parameter's shape, zero at first. */
export const optimizerSlots = ({ name }: OptimizerOptions): readonly string[] =>
  name === 'sgd' ? ['momentum'] : ['m', 'v'];

/** Scalars that all parameters of one update share. */
export interface UpdateScalars {
  readonly learningRate: Value;
  /** Number of this update, from 1, as a float. */
  readonly step: Value;
}

export interface Update {
  readonly parameter: Value;
  readonly slots: readonly Value[];
}

/**
 * Updates one parameter from its gradient and its state.
 * @param rate by what the learning rate is multiplied for it, in a shape that broadcasts to the parameter's; null for 1
 */
export type Updater = (
  parameter: Value,
  gradient: Value,
  slots: readonly Value[],
  rate: Value | null,
) => Update;

/**
 * √(Σ g²) over all gradients. Each square is made as a scalar: for anything else that is kept ONNX Runtime looks through all the memory that
 * has become free, which takes a tenth of the time in which it prepares a large graph.
 */
export function globalNorm(g: GraphBuilder, gradients: readonly Value[]): Value {
  const squares = gradients.map((gradient) => {
    const flat = g.reshape(gradient, [sizeOf(gradient.shape as number[])]);
    return g.reshape(g.add('ReduceSumSquare', [flat, g.integers([0])], { keepdims: 0 }), [1]);
  });
  return g.add('Sqrt', [g.sum(g.add('Concat', squares, { axis: 0 }), [0], 0)]);
}

/** Scales gradients so that their global norm is at most `limit` (Pascanu et al. 2013). */
export function clipByNorm(
  g: GraphBuilder,
  gradients: readonly Value[],
  norm: Value,
  limit: number,
): Value[] {
  const factor = g.add('Min', [
    g.scalar(1),
    g.add('Div', [g.scalar(limit), g.add('Add', [norm, g.scalar(1e-6)])]),
  ]);
  return gradients.map((gradient) => g.add('Mul', [gradient, factor]));
}

/** Builds what all parameters share, and returns the rule for one. */
export function optimizer(g: GraphBuilder, options: OptimizerOptions, scalars: UpdateScalars): Updater {
  return options.name === 'sgd' ? sgd(g, options, scalars) : adam(g, options, scalars);
}

const times = (g: GraphBuilder, x: Value, c: number) => g.add('Mul', [x, g.scalar(c)]);

const scaled = (g: GraphBuilder, x: Value, factor: Value | null) => (factor ? g.add('Mul', [x, factor]) : x);

/** v ← momentum·v + gradient; p ← p − rate·v (Polyak; PyTorch's form, weight decay added to the gradient). */
function sgd(
  g: GraphBuilder,
  options: OptimizerOptions & { name: 'sgd' },
  { learningRate }: UpdateScalars,
): Updater {
  return (parameter, gradient, [velocity], rate) => {
    const decayed =
      options.weightDecay === 0
        ? gradient
        : g.add('Add', [gradient, times(g, parameter, options.weightDecay)]);
    const next = g.add('Add', [times(g, velocity!, options.momentum), decayed]);
    const own = scaled(g, learningRate, rate);
    return { parameter: g.add('Sub', [parameter, g.add('Mul', [own, next])]), slots: [next] };
  };
}

/**
 * Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), arranged as PyTorch does:
 * m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − rate/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), where the last fraction is extended by
 * √(1−β₂ᵗ): every operator is one more pass over memory.
 */
function adam(
  g: GraphBuilder,
  options: OptimizerOptions & { name: 'adam' | 'adamw' },
  { learningRate, step }: UpdateScalars,
): Updater {
  const { beta1, beta2, epsilon, weightDecay } = options;
  // 1 − βᵗ itself would lose four digits of seven at the first steps. With u = tanh(−t·ln β / 2) it is 2u / (1 + u).
  const correction = (beta: number) => {
    if (beta === 0) return g.scalar(1);
    const u = g.add('Tanh', [times(g, step, -Math.log(beta) / 2)]);
    return g.add('Div', [times(g, u, 2), g.add('Add', [u, g.scalar(1)])]);
  };
  const rootCorrection = g.add('Sqrt', [correction(beta2)]);
  const corrected = g.add('Mul', [g.add('Div', [learningRate, correction(beta1)]), rootCorrection]);
  const smallest = times(g, rootCorrection, epsilon);
  const decay = times(g, learningRate, weightDecay);
  const shrinking = (rate: Value | null) => g.add('Sub', [g.scalar(1), scaled(g, decay, rate)]);
  const shrink = shrinking(null);
  return (parameter, given, [m, v], rate) => {
    const decouple = options.name === 'adamw' && weightDecay !== 0;
    const couple = options.name === 'adam' && weightDecay !== 0;
    const gradient = couple ? g.add('Add', [given, times(g, parameter, weightDecay)]) : given;
    const start = decouple ? g.add('Mul', [parameter, rate ? shrinking(rate) : shrink]) : parameter;
    const nextM = g.add('Add', [times(g, m!, beta1), times(g, gradient, 1 - beta1)]);
    const nextV = g.add('Add', [
      times(g, v!, beta2),
      times(g, g.add('Mul', [gradient, gradient]), 1 - beta2),
    ]);
    const denominator = g.add('Add', [g.add('Sqrt', [nextV]), smallest]);
    const change = g.add('Mul', [scaled(g, corrected, rate), g.add('Div', [nextM, denominator])]);
    return { parameter: g.add('Sub', [start, change]), slots: [nextM, nextV] };
  };
}
