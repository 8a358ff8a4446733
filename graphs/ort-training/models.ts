/**
 * The models of ONNX Runtime's training interface on a device (its builds up to 1.19 and 1.20): the same forward and
 * backward pass as our own step; only where sums and updates go is different. Names and orders are the interface's.
 */
import { nextStatistics } from '../nn/batch-norm.js';
import { NetworkBuilder, type Parameter } from '../nn/module.js';
import type { Objective } from '../objectives/objective.js';
import { GraphBuilder } from '../onnx/builder.js';
import { type Graph, sizeOf, type Value } from '../onnx/types.js';
import { type BuiltGraph, nextName } from '../programs/built.js';
import { differentiated } from '../programs/training.js';

/** AdamW with weight decay 0 is Adam. ONNX Runtime's SGD has no momentum. */
export type OnDeviceOptimizer =
  | {
      readonly name: 'adamw';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly weightDecay: number;
    }
  | { readonly name: 'sgd' };

/** The learning rate of every update, which the optimiser model computes from the update's number. */
export interface RateSchedule {
  readonly learningRate: number;
  /** Updates over which it rises from 0 to the full rate; 0 starts with it. */
  readonly warmup: number;
  /** The update at which it has fallen to 0 in a straight line; null keeps it constant. */
  readonly decayTo: number | null;
}

export interface UpdateModel {
  readonly optimizer: OnDeviceOptimizer;
  readonly clipNorm: number | null;
  readonly schedule: RateSchedule;
}

/** What a caller reads beside the loss, where the objective has it. */
const SHOWN = 'probabilities';
/** The rate that every binding begins with, and that the one for the web cannot change. */
const GIVEN_RATE = 1e-3;

const isParameter = (parameters: readonly Parameter[]) => {
  const names = new Set(parameters.map(({ name }) => name));
  return ({ name }: Value) => names.has(name);
};

/** The caller's inputs first, then parameters; what else there is keeps its place at the end. */
function ordered(graph: Graph, parameters: readonly Parameter[], internal: readonly Value[]): Graph {
  const [owned, rest] = [isParameter(parameters), new Set(internal)];
  const given = graph.inputs.filter((input) => !owned(input) && !rest.has(input));
  return { ...graph, inputs: [...given, ...graph.inputs.filter(owned), ...internal] };
}

/**
 * `training_model.onnx`: the batch, all parameters, and for each trained one a buffer in which its gradients are summed
 * until `lazy_reset_grad`. Outputs: `loss`, `probabilities` where the objective has them, and a flag for each tensor that was
 * changed. Running statistics are changed where they lie, by the same operator that sums gradients: the interface knows
 * them as frozen parameters.
 */
export function onDeviceTrainingGraph(objective: Objective): BuiltGraph {
  const g = new GraphBuilder('training');
  const { net, trainable, gradients, outputs } = differentiated(g, objective);
  const shown = outputs()[SHOWN];
  if (shown) g.output(SHOWN, shown);
  const buffers = trainable.map(({ name, shape }) =>
    g.input(`${name}_grad.accumulation.buffer`, 'float32', shape),
  );
  const reset = g.input('lazy_reset_grad', 'bool', [1]);
  for (const [i, { name }] of trainable.entries()) {
    const gradient = g.output(`${name}_grad`, gradients[i]!);
    g.output(`${name}_grad.accumulation.out`, g.add('InPlaceAccumulatorV2', [buffers[i]!, gradient, reset]));
  }
  const keep = g.constant({ type: 'bool', shape: [1], data: Uint8Array.of(0) });
  for (const [name, { now, momentum }] of net.statistics) {
    const statistic = net.values.get(name)!;
    const change = g.add('Sub', [nextStatistics(g, statistic, now, momentum), statistic]);
    g.output(`${nextName(name)}.out`, g.add('InPlaceAccumulatorV2', [statistic, change, keep]));
  }
  const graph = ordered(g.build(), net.parameters, [...buffers, reset]);
  const isGradient = ({ name }: Value) => name.endsWith('_grad');
  return {
    graph: { ...graph, outputs: graph.outputs.filter((v) => !isGradient(v)) },
    parameters: net.parameters,
  };
}

/** `eval_model.onnx`: `loss` of a batch, and `probabilities` where the objective has them, as in the training model. */
export function onDeviceEvaluationGraph(objective: Objective): BuiltGraph {
  const g = new GraphBuilder('evaluation');
  const net = new NetworkBuilder(g, 'evaluation');
  const made = objective(net);
  g.output('loss', made.loss());
  const shown = made.outputs()[SHOWN];
  if (shown) g.output(SHOWN, shown);
  return { graph: ordered(g.build(), net.parameters, []), parameters: net.parameters };
}

/**
 * `weights_model.onnx`, to be used as an evaluation model where nothing else gives the weights back, as on the web:
 * returns all parameters in their order as one vector, because the web's binding mixes up the names of many outputs.
 */
export function onDeviceWeightsGraph(parameters: readonly Parameter[]): BuiltGraph {
  const g = new GraphBuilder('weights');
  const flat = parameters.map(({ name, shape }) =>
    g.reshape(g.input(name, 'float32', shape), [sizeOf(shape)]),
  );
  g.output('weights', g.add('Concat', flat, { axis: 0 }));
  return { graph: g.build(), parameters };
}

/** The rate [1] of the update with this number [1], from 1: base · min(1, t / warmup) · (1 − progress of the decay). */
function rateOf(g: GraphBuilder, given: Value, number: Value, schedule: RateSchedule): Value {
  const { learningRate, warmup, decayTo } = schedule;
  const t = g.add('Cast', [number], { to: 1 });
  const [zero, one] = [g.scalar(0), g.scalar(1)];
  const base = g.add('Mul', [given, g.scalar(learningRate / GIVEN_RATE)]);
  const rise = g.add('Min', [one, g.add('Mul', [t, g.scalar(1 / Math.max(1, warmup))])]);
  const risen = warmup > 0 ? g.add('Mul', [base, rise]) : base;
  if (decayTo === null) return risen;
  const past = g.add('Sub', [t, g.scalar(warmup)]);
  const progress = g.add('Mul', [past, g.scalar(1 / (decayTo - warmup))]);
  const left = g.add('Sub', [one, g.add('Clip', [progress, zero, one])]);
  return g.add('Mul', [risen, left]);
}

/**
 * `optimizer_model.onnx`. The interface hands it `learning_rate`, 0.001 unless the caller has set another, the number of
 * the update, and its tensors as sequences. The web's binding cannot set the rate, so it is computed here;
 * a rate that is set multiplies it, 0.001 being once.
 */
export function onDeviceOptimizerGraph({ optimizer, clipNorm, schedule }: UpdateModel): Graph {
  const g = new GraphBuilder('optimizer');
  const given = g.input('learning_rate', 'float32', [1]);
  const number = g.input('step', 'int64', [1]);
  const sequence = (name: string) => g.sequenceInput(name, 'float32');
  const [params, summed, first] = [
    sequence('params'),
    sequence('gradients'),
    sequence('first_order_moments'),
  ];
  const rate = g.scope('schedule', () => rateOf(g, given, number, schedule));
  const gradients =
    clipNorm === null ? summed : g.add('InplaceClipGradNorm', [summed], { max_norm: clipNorm });
  if (optimizer.name === 'sgd') {
    g.output('update_completed', g.add('SGDOptimizerV2', [rate, params, gradients]));
    return g.build();
  }
  const { beta1, beta2, epsilon, weightDecay } = optimizer;
  const second = sequence('second_order_moments');
  const attributes = { alpha: beta1, beta: beta2, epsilon, weight_decay: weightDecay };
  g.output(
    'updated_flag',
    g.add('AdamWOptimizer', [rate, number, params, gradients, first, second], attributes),
  );
  return g.build();
}
