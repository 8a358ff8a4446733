/*
 * Dynamic loss scaling (Micikevicius et al. 2018): the loss is multiplied by a number that keeps small gradients from becoming 0
 * in float16. A step whose gradients overflow changes no parameter, and halves the scale; after many good ones it is doubled. (Running
 * statistics come from the forward pass, and move in all steps, as in PyTorch.)
 */
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';

/** The state: scale, good steps since it last changed, and steps that were skipped. It is saved with the optimiser's. */
export const LOSS_SCALING = 'optimizer.loss_scaling';
export const FIRST_LOSS_SCALING = [2 ** 16, 0, 0] as const;
/** Below this scale gradients that overflow are no matter of precision: the training has diverged. */
export const LEAST_LOSS_SCALE = 2 ** -14;

/** Good steps after which a larger scale is tried. */
const PATIENCE = 2000;
const LARGEST = 2 ** 24;

export interface LossScaling {
  /** [3], as it was before the step. */
  readonly state: Value;
  /** Scalar. */
  readonly scale: Value;
}

/** Declares the state as an input of a graph. */
export function lossScaling(g: GraphBuilder): LossScaling {
  const state = g.input(LOSS_SCALING, g.float, [FIRST_LOSS_SCALING.length]);
  return { state, scale: g.scope('loss_scaling', () => g.reshape(g.slice(state, [0], [1], [0]), [])) };
}

/** Whether numbers are finite, one by one: the difference of any other with itself is not a number. */
export const areFinite = (g: GraphBuilder, x: Value): Value =>
  g.add('Equal', [g.add('Sub', [x, x]), g.scalar(0, x.type)]);

/** The number of a step, without those that were skipped before. */
export const madeSteps = (g: GraphBuilder, { state }: LossScaling, step: Value): Value =>
  g.add('Sub', [step, g.reshape(g.slice(state, [2], [3], [0]), [])]);

/** The state after a step. @param finite whether its gradients are, a bool scalar */
export function nextLossScaling(g: GraphBuilder, { state }: LossScaling, finite: Value): Value {
  const [scale, good, skipped] = [0, 1, 2].map((i) => g.slice(state, [i], [i + 1], [0])) as [
    Value,
    Value,
    Value,
  ];
  const vector = (value: number) => g.floats([value], [1]);
  const more = g.add('Add', [good, vector(1)]);
  const isDue = g.add('Not', [g.add('Less', [more, vector(PATIENCE)])]);
  const doubled = g.add('Min', [g.add('Mul', [scale, vector(2)]), vector(LARGEST)]);
  const choose = (condition: Value, yes: Value, no: Value) => g.add('Where', [condition, yes, no]);
  const ifGood = [choose(isDue, doubled, scale), choose(isDue, vector(0), more), skipped];
  const ifBad = [g.add('Mul', [scale, vector(0.5)]), vector(0), g.add('Add', [skipped, vector(1)])];
  return choose(finite, g.add('Concat', ifGood, { axis: 0 }), g.add('Concat', ifBad, { axis: 0 }));
}
