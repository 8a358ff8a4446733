import { backward } from '../autodiff/backward.js';
import { nextStatistics } from '../nn/batch-norm.js';
import {
  areFinite,
  LOSS_SCALING,
  type LossScaling,
  lossScaling,
  madeSteps,
  nextLossScaling,
} from '../nn/loss-scale.js';
import { NetworkBuilder, type Parameter } from '../nn/module.js';
import {
  clipByNorm,
  globalNorm,
  type OptimizerOptions,
  optimizer,
  optimizerSlots,
  type UpdateScalars,
} from '../nn/optimizers.js';
import type { LossAndOutputs, Objective } from '../objectives/objective.js';
import { GraphBuilder } from '../onnx/builder.js';
import { type FloatType, GraphError, sizeOf, type Value } from '../onnx/types.js';
import { type BuiltGraph, gradientName, nextName, slotName } from './built.js';
import { evaluationGraph } from './evaluation.js';
import { type LargeTensors, type Pack, packed, rowsOf, statePacks, unpacked } from './packed.js';
import { forgottenValues, type RecomputePlan } from './recompute.js';

/** How gradients become new parameters. */
export interface UpdateOptions {
  readonly optimizer: OptimizerOptions;
  /** Largest global norm of a gradient; null does not clip. */
  readonly clipNorm: number | null;
}

/** How a network is differentiated. */
export interface BackwardOptions {
  /** What the network computes in; float32 by default. */
  readonly float?: FloatType | undefined;
  /** What is computed again instead of kept; nothing by default. */
  readonly recompute?: RecomputePlan | undefined;
  /** Gradients are scaled against underflow, with a scale that follows them: see `loss-scale.ts`. */
  readonly lossScaling?: boolean | undefined;
}

export interface Differentiated {
  readonly net: NetworkBuilder;
  readonly trainable: readonly Parameter[];
  /** Of each trainable parameter. */
  readonly gradients: readonly Value[];
  readonly outputs: LossAndOutputs['outputs'];
  /** By what the gradients are too large; null where they are not. */
  readonly scaling: LossScaling | null;
}

/**
 * Objective, loss and backward pass, with the output `loss`: what step, gradient and accumulation graphs share.
 * @param given values of parameters that are not inputs by themselves
 */
export function differentiated(
  g: GraphBuilder,
  objective: Objective,
  { recompute = {}, lossScaling: isScaled = false }: BackwardOptions = {},
  given?: ReadonlyMap<string, Value>,
): Differentiated {
  const net = new NetworkBuilder(g, 'training', given);
  const made = objective(net);
  const loss = made.loss();
  const trainable = net.parameters.filter((p) => p.trainable);
  const scaling = isScaled ? lossScaling(g) : null;
  const found = backward(
    g,
    loss,
    trainable.map((p) => net.values.get(p.name)!),
    { forgotten: forgottenValues(g.build(), recompute), scale: scaling?.scale },
  );
  if (found.every((gradient) => gradient === null))
    throw new GraphError('the loss does not depend on any of the weights that are trained');
  // A bias before batch normalisation does not reach the loss: its gradient is zero.
  const gradients = found.map((gradient, i) => {
    if (gradient) return gradient;
    const { shape } = trainable[i]!;
    return g.add('Expand', [g.scalar(0), g.integers(shape)]);
  });
  g.output('loss', loss);
  return { net, trainable, gradients, outputs: made.outputs, scaling };
}

/** The loss of a network in training, before it is differentiated: what a step is to be fed, at little cost. */
export function forwardGraph(objective: Objective): BuiltGraph {
  const g = new GraphBuilder('forward');
  const net = new NetworkBuilder(g, 'training');
  g.output('loss', objective(net).loss());
  return { graph: g.build(), parameters: net.parameters };
}

/** Returns new running statistics; with a loss scale the old ones where they are no numbers, since such a step is skipped. */
function returnStatistics(
  g: GraphBuilder,
  { scaling }: Differentiated,
  old: Value,
  now: Value,
  momentum: number | readonly number[],
): void {
  const next = nextStatistics(g, old, now, momentum);
  g.output(nextName(old.name), scaling ? g.add('Where', [areFinite(g, next), next, old]) : next);
}

function returnEachStatistic(g: GraphBuilder, found: Differentiated): void {
  const { statistics, values } = found.net;
  for (const [name, { now, momentum }] of statistics)
    returnStatistics(g, found, values.get(name)!, now, momentum);
}

/** What an optimiser updates: a parameter, or several that are packed. */
interface Updated {
  readonly name: string;
  readonly value: Value;
  readonly gradient: Value;
  /** By what the learning rate is multiplied, or that of each row. */
  readonly rate: number | readonly number[];
}

const updatedOf = ({
  net,
  trainable,
  gradients,
}: Pick<Differentiated, 'net' | 'trainable' | 'gradients'>): Updated[] =>
  trainable.map(({ name, rate }, i) => ({
    ...{ name, value: net.values.get(name)!, gradient: gradients[i]! },
    rate,
  }));

/**
 * A tensor as a vector, if it ends in axes of 1, as the weights of a 1×1×1 convolution do: ONNX Runtime's element-wise operators with a
 * scalar take thirty times as long for those.
 */
const flattened = (g: GraphBuilder, value: Value): Value =>
  value.shape.length > 1 && value.shape.at(-1) === 1
    ? g.reshape(value, [sizeOf(value.shape as number[])])
    : value;

/** A factor of the learning rate as {@link Updater} takes it for a tensor. */
function rateFactor(g: GraphBuilder, rate: Updated['rate'], { shape }: Value): Value | null {
  if (rate === 1) return null;
  return typeof rate === 'number'
    ? g.scalar(rate)
    : g.floats(rate, [rate.length, ...shape.slice(1).map(() => 1)]);
}

/** Clips, updates, and returns new parameters and optimiser state as outputs. @param scaling of the gradients */
function update(
  g: GraphBuilder,
  tensors: readonly Updated[],
  { optimizer: options, clipNorm }: UpdateOptions,
  scaling: LossScaling | null,
): void {
  const step = g.input('step', g.float, []);
  const scalars: UpdateScalars = {
    learningRate: g.input('learning_rate', g.float, []),
    step: scaling ? madeSteps(g, scaling, step) : step,
  };
  const inverse = scaling && g.add('Reciprocal', [scaling.scale]);
  const given = tensors.map(({ gradient }) => {
    const flat = flattened(g, gradient);
    return inverse ? g.add('Mul', [flat, inverse]) : flat;
  });
  const norm = g.scope('gradient_norm', () => globalNorm(g, given));
  const finite = scaling && areFinite(g, norm);
  const gradients = clipNorm === null ? given : g.scope('clip', () => clipByNorm(g, given, norm, clipNorm));
  const updater = g.scope('optimizer', () => optimizer(g, options, scalars));
  /** A step whose gradients have overflowed is skipped. */
  const returned = (given: Value, old: Value, next: Value) => {
    const value = finite ? g.add('Where', [finite, next, old]) : next;
    g.output(nextName(given.name), given === old ? value : g.reshape(value, given.shape as number[]));
  };
  for (const [i, { name, value, rate }] of tensors.entries()) {
    const slots = optimizerSlots(options).map((slot) => g.input(slotName(slot, name), g.float, value.shape));
    const [old, ...oldSlots] = [value, ...slots].map((tensor) => flattened(g, tensor)) as [Value, ...Value[]];
    const next = g.scope(`optimizer/${name}`, () =>
      updater(old, gradients[i]!, oldSlots, rateFactor(g, rate, old)),
    );
    returned(value, old, next.parameter);
    for (const [s, slot] of next.slots.entries()) returned(slots[s]!, oldSlots[s]!, slot);
  }
  if (scaling && finite) {
    const next = g.scope('loss_scaling', () => nextLossScaling(g, scaling, finite));
    g.output(nextName(LOSS_SCALING), next);
    g.output('loss_scale', scaling.scale);
  }
  g.output('gradient_norm', norm);
}

/**
 * One training step: the batch, all parameters and the optimiser's state go in; `loss`, `gradient_norm`, `loss_scale` where
 * there is one, and the new value (`<name>.next`) of everything that is trained, its optimiser state and the running statistics come out.
 */
export function stepGraph(
  objective: Objective,
  options: UpdateOptions,
  how: BackwardOptions = {},
): BuiltGraph {
  const g = new GraphBuilder('step', how);
  const found = differentiated(g, objective, how);
  update(g, updatedOf(found), options, found.scaling);
  returnEachStatistic(g, found);
  return { graph: g.build(), parameters: found.net.parameters };
}

/**
 * The same step on packed tensors ({@link statePacks}): each pack goes in by its name and comes out as `<name>.next`.
 * Gradients are packed as the parameters are. What is frozen and by itself only goes in.
 */
export function packedStepGraph(
  objective: Objective,
  options: UpdateOptions,
  large: LargeTensors,
  how: BackwardOptions = {},
): BuiltGraph {
  const { parameters } = evaluationGraph(objective, how.float);
  const packs = statePacks(parameters, options.optimizer, large);
  const g = new GraphBuilder('step', how);
  const inputs = new Map(
    [...packs.parameters, ...packs.buffers].map((pack) => [pack, g.input(pack.name, g.float, pack.shape)]),
  );
  const given = new Map([...inputs].flatMap(([pack, value]) => [...unpacked(g, value, pack)]));
  const found = differentiated(g, objective, how, given);
  const { trainable, gradients } = found;
  const gradientOf = new Map(trainable.map(({ name }, i) => [name, gradients[i]!]));
  const rateOf = new Map(trainable.map(({ name, rate }) => [name, rate]));
  const packedOf = (pack: Pack, values: ReadonlyMap<string, Value>) =>
    packed(
      g,
      pack.members.map(({ name }) => values.get(name) ?? given.get(name)!),
      pack,
    );
  update(
    g,
    packs.parameters.map((pack) => ({
      name: pack.name,
      value: inputs.get(pack)!,
      gradient: packedOf(pack, gradientOf),
      rate: rowsOf(pack, ({ name }) => rateOf.get(name)!),
    })),
    options,
    found.scaling,
  );
  const { statistics } = found.net;
  const now = new Map([...statistics].map(([name, statistic]) => [name, statistic.now]));
  for (const pack of packs.buffers) {
    const old = inputs.get(pack)!;
    if (pack.members.some(({ name }) => now.has(name))) {
      // What is frozen keeps all of itself.
      const momentum = rowsOf(pack, ({ name }) => statistics.get(name)?.momentum ?? 1);
      returnStatistics(g, found, old, packedOf(pack, now), momentum);
    } else if (pack.members.length > 1) g.output(nextName(pack.name), old);
  }
  return { graph: g.build(), parameters };
}

/** The loss and `gradient:<parameter>` for a batch, for checking against another framework. */
export function gradientGraph(objective: Objective, how: BackwardOptions = {}): BuiltGraph {
  const g = new GraphBuilder('gradient', how);
  const { net, trainable, gradients } = differentiated(g, objective, how);
  for (const [i, { name }] of trainable.entries()) g.output(gradientName(name), gradients[i]!);
  return { graph: g.build(), parameters: net.parameters };
}

/**
 * One micro-batch of a step with gradient accumulation: as {@link gradientGraph}, with sums `gradient:<parameter>`
 * that go in and come out as `gradient:<parameter>.next`, and running statistics.
 */
export function accumulateGraph(objective: Objective, how: BackwardOptions = {}): BuiltGraph {
  const g = new GraphBuilder('accumulate', how);
  const found = differentiated(g, objective, how);
  const { net, trainable, gradients } = found;
  trainable.forEach(({ name, shape }, i) => {
    const sum = g.input(gradientName(name), g.float, shape);
    g.output(nextName(sum.name), g.add('Add', [sum, gradients[i]!]));
  });
  returnEachStatistic(g, found);
  const momenta = new Map([...net.statistics].map(([name, { momentum }]) => [name, momentum]));
  return { graph: g.build(), parameters: net.parameters, momenta };
}

/** The update that ends a step of `microBatches` accumulated gradients. */
export function applyGraph(
  objective: Objective,
  options: UpdateOptions,
  microBatches: number,
  { float, lossScaling: isScaled = false }: BackwardOptions = {},
): BuiltGraph {
  const { parameters } = evaluationGraph(objective);
  const g = new GraphBuilder('apply', { float });
  const net = new NetworkBuilder(g, 'training');
  const trainable = parameters.filter((p) => p.trainable);
  for (const p of trainable) net.parameter(p.name, p.shape, p.initializer);
  const gradients = trainable.map(({ name, shape }) =>
    g.add('Mul', [flattened(g, g.input(gradientName(name), g.float, shape)), g.scalar(1 / microBatches)]),
  );
  update(g, updatedOf({ net, trainable, gradients }), options, isScaled ? lossScaling(g) : null);
  return { graph: g.build(), parameters };
}
