import { backward } from '../autodiff/backward.js';
import { autoencoder, type Encoded, encoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { meanSquaredError, squaredErrorPerSample } from '../nn/losses.js';
import { NetworkBuilder, type Parameter } from '../nn/module.js';
import {
  clipByNorm,
  globalNorm,
  type OptimizerOptions,
  optimizer,
  optimizerSlots,
  type UpdateScalars,
} from '../nn/optimizers.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { Graph, Value } from '../onnx/types.js';
import { type Parts2WholeOptions, parts2whole } from '../proxies/parts2whole.js';

/** Everything that decides the graphs of a pre-training run. */
export interface ProxyOptions extends Parts2WholeOptions {
  readonly network: UNet3dOptions;
}

/** A graph, not lowered yet, and the parameters that it takes. */
export interface Built {
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
}

/** Name of an optimiser's state tensor. */
export const slotName = (slot: string, parameter: string): string => `optimizer.${slot}.${parameter}`;
/** Name of the new value of a tensor that a step takes and returns. */
export const nextName = (name: string): string => `${name}.next`;
/** Name of a parameter's gradient, or of the sum of several micro-batches' gradients. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;

interface Differentiated {
  readonly net: NetworkBuilder;
  readonly loss: Value;
  readonly trainable: readonly Parameter[];
  readonly gradients: readonly Value[];
}

/** Task, network, loss and backward pass: what step, gradient and accumulation graphs share. */
function differentiated(g: GraphBuilder, options: ProxyOptions): Differentiated {
  const { part, whole } = parts2whole(g, options);
  const net = new NetworkBuilder(g, 'training');
  const { output } = autoencoder(net, part, options.network);
  const loss = g.scope('loss', () => meanSquaredError(g, output, whole));
  const trainable = net.parameters.filter((p) => p.trainable);
  const found = backward(
    g,
    loss,
    trainable.map((p) => net.values.get(p.name)!),
  );
  // A bias before batch normalisation does not reach the loss: its gradient is zero.
  const gradients = found.map((gradient, i) => {
    if (gradient) return gradient;
    const { shape } = trainable[i]!;
    return g.add('Expand', [g.scalar(0), g.integers(shape)]);
  });
  return { net, loss, trainable, gradients };
}

const returnStatistics = (g: GraphBuilder, net: NetworkBuilder) => {
  for (const [name, value] of net.statistics) g.output(nextName(name), value);
};

/** Clips, updates, and returns new parameters and optimiser state as outputs. */
function update(
  g: GraphBuilder,
  found: Omit<Differentiated, 'loss'>,
  options: OptimizerOptions,
  clipNorm: number | null,
): void {
  const { net, trainable } = found;
  const scalars: UpdateScalars = {
    learningRate: g.input('learning_rate', 'float32', []),
    step: g.input('step', 'float32', []),
  };
  const norm = g.scope('gradient_norm', () => globalNorm(g, found.gradients));
  const gradients =
    clipNorm === null
      ? found.gradients
      : g.scope('clip', () => clipByNorm(g, found.gradients, norm, clipNorm));
  const updater = g.scope('optimizer', () => optimizer(g, options, scalars));
  trainable.forEach(({ name, shape }, i) => {
    const slots = optimizerSlots(options).map((slot) => g.input(slotName(slot, name), 'float32', shape));
    const next = g.scope(`optimizer/${name}`, () => updater(net.values.get(name)!, gradients[i]!, slots));
    g.output(nextName(name), next.parameter);
    for (const [s, value] of next.slots.entries()) g.output(nextName(slots[s]!.name), value);
  });
  g.output('gradient_norm', norm);
}

/**
 * One training step: the batch, all parameters and the optimiser's state go in; `loss`, `gradient_norm` and the new
 * value of each (`<name>.next`) come out.
 */
export function stepGraph(
  options: ProxyOptions,
  optimizerOptions: OptimizerOptions,
  clipNorm: number | null,
): Built {
  const g = new GraphBuilder('step');
  const found = differentiated(g, options);
  g.output('loss', found.loss);
  update(g, found, optimizerOptions, clipNorm);
  returnStatistics(g, found.net);
  return { graph: g.build(), parameters: found.net.parameters };
}

/** The loss and `gradient:<parameter>` for a batch, for checking against another framework. */
export function gradientGraph(options: ProxyOptions): Built {
  const g = new GraphBuilder('gradient');
  const { net, loss, trainable, gradients } = differentiated(g, options);
  g.output('loss', loss);
  for (const [i, { name }] of trainable.entries()) g.output(gradientName(name), gradients[i]!);
  return { graph: g.build(), parameters: net.parameters };
}

/**
 * One micro-batch of a step with gradient accumulation: as {@link gradientGraph}, with sums `gradient:<parameter>`
 * that go in and come out as `gradient:<parameter>.next`, and running statistics.
 */
export function accumulateGraph(options: ProxyOptions): Built {
  const g = new GraphBuilder('accumulate');
  const { net, loss, trainable, gradients } = differentiated(g, options);
  g.output('loss', loss);
  trainable.forEach(({ name, shape }, i) => {
    const sum = g.input(gradientName(name), 'float32', shape);
    g.output(nextName(sum.name), g.add('Add', [sum, gradients[i]!]));
  });
  returnStatistics(g, net);
  return { graph: g.build(), parameters: net.parameters };
}

/** The update that ends a step of `microBatches` accumulated gradients. */
export function applyGraph(
  options: ProxyOptions,
  optimizerOptions: OptimizerOptions,
  clipNorm: number | null,
  microBatches: number,
): Built {
  const { parameters } = evaluationGraph(options);
  const g = new GraphBuilder('apply');
  const net = new NetworkBuilder(g, 'training');
  const trainable = parameters.filter((p) => p.trainable);
  for (const p of trainable) net.parameter(p.name, p.shape, p.initializer);
  const gradients = trainable.map(({ name, shape }) =>
    g.add('Mul', [g.input(gradientName(name), 'float32', shape), g.scalar(1 / microBatches)]),
  );
  update(g, { net, trainable, gradients }, optimizerOptions, clipNorm);
  return { graph: g.build(), parameters };
}

/** Parts in, without training: `loss` [N], `part` and `whole` and `reconstruction` [N,1,D,H,W], `features` [N,C]. */
export function evaluationGraph(options: ProxyOptions): Built {
  const g = new GraphBuilder('evaluation');
  const { part, whole } = parts2whole(g, options);
  const net = new NetworkBuilder(g, 'evaluation');
  const { encoded, output } = autoencoder(net, part, options.network);
  g.output('loss', squaredErrorPerSample(g, output, whole));
  g.output('part', part);
  g.output('whole', whole);
  g.output('reconstruction', output);
  g.output('features', features(net, encoded));
  return { graph: g.build(), parameters: net.parameters };
}

/** The encoder half of {@link evaluationGraph}: parts in, `features` [N,C] out. */
export function featureGraph(options: ProxyOptions): Built {
  const g = new GraphBuilder('features');
  const { part } = parts2whole(g, options);
  const net = new NetworkBuilder(g, 'evaluation');
  const encoded: Encoded = encoder(net, part, options.network);
  g.output('features', features(net, encoded));
  return { graph: g.build(), parameters: net.parameters };
}
