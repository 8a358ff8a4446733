import { byTable } from '../../graphs/forms/choice.js';
import { fastForms, gpuForms, plainForms } from '../../graphs/forms/index.js';
import type { BlockedLayout } from '../../graphs/forms/layout.js';
import { type Lowering, lower } from '../../graphs/forms/lower.js';
import type { Parameter } from '../../graphs/nn/module.js';
import type { Objective } from '../../graphs/objectives/objective.js';
import { type ModelFacts, toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Graph, GraphError, type Tensor } from '../../graphs/onnx/types.js';
import { floatInputs } from '../../graphs/passes/float-inputs.js';
import { mixedPrecision } from '../../graphs/passes/mixed-precision.js';
import { withNamedOutputs } from '../../graphs/passes/named-outputs.js';
import { withShortNames } from '../../graphs/passes/short-names.js';
import { forWebgpu } from '../../graphs/passes/webgpu.js';
import type { BuiltGraph } from '../../graphs/programs/built.js';
import { evaluationGraph } from '../../graphs/programs/evaluation.js';
import { repeated } from '../../graphs/programs/repeated.js';
import {
  accumulateGraph,
  applyGraph,
  forwardGraph,
  gradientGraph,
  packedStepGraph,
  stepGraph,
} from '../../graphs/programs/training.js';
import { microBatches, type StepConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import type { Engine, Session, SessionOptions } from '../runtime/engine.js';
import { blockedLayout } from './blocked-layout.js';

/** What is trained: its objective for any number of samples at once. */
export type Workload = (samples: number) => Objective;

/** The graphs of a run, by name. */
export type GraphKind =
  | 'step'
  | 'steps'
  | 'stepsOnGpu'
  | 'accumulate'
  | 'apply'
  | 'forward'
  | 'gradient'
  | 'evaluation';

/** @throws UserError when options that only meet in the graph do not go together */
export function built(what: string, build: () => BuiltGraph): BuiltGraph {
  try {
    return build();
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new UserError('config', { what: error.message, where: `the ${what} graph`, cause: error });
  }
}

/** Builds one of a run's graphs, before lowering. @throws UserError when the data do not suit the configuration */
export function buildGraph(kind: GraphKind, workload: Workload, config: StepConfig): BuiltGraph {
  const { size, count } = microBatches(config);
  const objective = workload(size);
  const { recompute } = config;
  const isMixed = config.precision === 'amp';
  const how = { recompute, lossScaling: isMixed };
  const mixed = (made: BuiltGraph): BuiltGraph =>
    isMixed ? { ...made, graph: mixedPrecision(made.graph) } : made;
  const inOneRun = (made: BuiltGraph): BuiltGraph => ({
    ...made,
    graph: repeated(made.graph, new Set(made.parameters.map(({ name }) => name))),
  });
  const build = {
    step: () => mixed(stepGraph(objective, config, how)),
    steps: () => inOneRun(mixed(packedStepGraph(objective, config, 'single', how))),
    stepsOnGpu: () => inOneRun(mixed(packedStepGraph(objective, config, 'packed', how))),
    accumulate: () => mixed(accumulateGraph(objective, how)),
    apply: () => applyGraph(objective, config, count, how),
    forward: () => forwardGraph(objective),
    gradient: () => gradientGraph(objective, { recompute }),
    evaluation: () => evaluationGraph(objective),
  };
  return built(kind, build[kind]);
}

/** How a run's graphs are lowered where only the standard's operators may be used. */
export const portable = ({ forms }: Pick<StepConfig, 'forms'>): Lowering => ({
  choose: forms === 'plain' ? plainForms : fastForms,
});

export const runsOnGpu = ({ provider }: Pick<Engine, 'provider'>): boolean => provider.startsWith('cuda');

/**
 * How a run's graphs are lowered for an engine: by the configured forms, with all that the engine offers to them. What
 * has not been tuned takes the forms that are known to be fast.
 */
export async function loweringFor(config: Pick<StepConfig, 'forms'>, engine: Engine): Promise<Lowering> {
  if (config.forms === 'plain') return portable(config);
  if (runsOnGpu(engine)) return { choose: gpuForms };
  const blocked = await blockedLayout(engine);
  return { choose: typeof config.forms === 'object' ? byTable(config.forms) : fastForms, blocked };
}

/** A graph as it is run on an engine. */
export const loweredFor = async (
  graph: Graph,
  config: Pick<StepConfig, 'forms'>,
  engine: Engine,
): Promise<Graph> => lower(graph, await loweringFor(config, engine));

/**
 * Lowers a graph, and encodes it as a model.
 * @param defaults parameters whose values are stored, so that the inputs may be left out
 */
export function encodeGraph(
  { graph }: BuiltGraph,
  lowering: Lowering,
  defaults: readonly Parameter[] = [],
): Uint8Array {
  const lowered = withNamedOutputs(lower(graph, lowering));
  const read = new Set(lowered.inputs.map(({ name }) => name));
  const stored = defaults.flatMap(({ name, shape, initializer }): [string, Tensor][] =>
    initializer.kind === 'given' && read.has(name)
      ? [[name, { type: 'float32', shape, data: initializer.values }]]
      : [],
  );
  return encodeModel(toModel({ ...lowered, initializers: new Map([...lowered.initializers, ...stored]) }));
}

/** How often each form of each operator occurs in a lowered graph. Sums and ReLUs that have no other form do not count. */
export function countForms(
  graph: Graph,
  { choose, blocked }: Lowering,
): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const counts: Record<string, Record<string, number>> = {};
  lower(graph, {
    blocked: blocked ?? null,
    choose: (operator, call) => {
      const form = choose(operator, call);
      if ((operator === 'Add' || operator === 'Relu') && form === 'plain') return form;
      counts[operator] ??= {};
      counts[operator][form] = (counts[operator][form] ?? 0) + 1;
      return form;
    },
  });
  return counts;
}

/** A graph as a model of standard operators, for any runtime. */
export const portableModel = (graph: Graph, facts?: ModelFacts): Uint8Array =>
  encodeModel(toModel(lower(graph, { choose: plainForms }), facts));

/** How a run's graphs are loaded: forms for the very engine leave nothing to rewrite. */
export const sessionOptions = (
  { threads }: Pick<StepConfig, 'threads'>,
  blocked: BlockedLayout | null,
): SessionOptions => ({
  threads,
  rewrite: blocked ? 'nothing' : 'all',
});

/** Loads one of a run's graphs into an engine, in the forms that are fastest there. */
export async function loadGraph(
  built: BuiltGraph,
  config: Pick<StepConfig, 'forms' | 'threads'>,
  engine: Engine,
): Promise<Session> {
  const lowering = await loweringFor(config, engine);
  // WebGPU has no integers of 16 bits; its engine hands floats over.
  const graph =
    engine.provider === 'webgpu'
      ? forWebgpu(lower(floatInputs(built.graph), lowering))
      : withNamedOutputs(lower(built.graph, lowering));
  return engine.load(
    encodeModel(toModel(withShortNames(graph))),
    sessionOptions(config, lowering.blocked ?? null),
  );
}
