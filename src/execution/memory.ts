/** What a training will need, told before it begins: afterwards it would be killed, or end in words of the allocator. */
import { lower } from '../../graphs/forms/lower.js';
import { stagesOf, synchronised } from '../../graphs/forms/over-ranks.js';
import { peakBytes } from '../../graphs/onnx/peak.js';
import { arrayOf, type Graph, GraphError, sizeOf, type Value } from '../../graphs/onnx/types.js';
import { nextName } from '../../graphs/programs/built.js';
import { planOf, type RecomputePlan, type Saving, savings } from '../../graphs/programs/recompute.js';
import { microBatches, type TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import type { Reporter } from '../progress.js';
import type { Engine } from '../runtime/engine.js';
import { buildGraph, type GraphKind, loweringFor, runsOnGpu, type Workload } from './models.js';

/** Node.js and ONNX Runtime with the models of a run. */
const PROGRAM_BYTES = 0.26e9;
/** Parameters and the optimiser's state: before and after a step, and once more on their way. */
const STATE_COPIES = 3;
/** What ONNX Runtime takes from the system for a byte that it needs: free pieces are seldom of the size that is wanted. */
const ARENA = 1.18;

/** Bytes that a training will take, by what they are for. */
export interface MemoryNeed {
  readonly total: number;
  readonly program: number;
  /** Parameters, running statistics, the optimiser's state. */
  readonly state: number;
  /** Samples of the step, and those that are read ahead. */
  readonly data: number;
  /** What a step computes. */
  readonly step: number;
  /** What a validation computes, with a session of its own. */
  readonly validation: number;
}

/** What values take together. All sizes must be numbers. */
export const bytesOf = (values: readonly Value[]): number =>
  values.reduce(
    (sum, { type, shape }) => sum + sizeOf(shape as number[]) * arrayOf(type).BYTES_PER_ELEMENT,
    0,
  );

/** Groups of samples that are held at once: those of this step, and those read ahead; see `readAhead` and `trainRun`. */
const heldGroups = (count: number, { workers }: TrainingConfig) => 2 * count + 2 * Math.max(1, workers);

/** How a graph is looked at. */
interface View {
  /** What an engine runs of it, as far as the view sees that. */
  readonly run: (graph: Graph) => Graph;
  /** Bytes taken from the system for one that is needed. */
  readonly arena: number;
  /** Ranks that normalise together. */
  readonly together: number;
}

/**
 * What a step takes that ranks make in stages: each stage is a session with memory of its own, whose results are copied and kept.
 * @param stages as `stagesOf` makes them
 */
const stagedBytes = (stages: readonly { readonly graph: Graph }[], arena: number): number =>
  stages.reduce((sum, { graph }) => {
    const results = bytesOf(graph.outputs);
    return sum + arena * (peakBytes(graph) + results) + results;
  }, 0);

function needBy(workload: Workload, config: TrainingConfig, { run, arena, together }: View): MemoryNeed {
  const peak = (graph: Graph) => arena * peakBytes(run(graph));
  const { count } = microBatches(config);
  const build = (kind: GraphKind) => buildGraph(kind, workload, config);
  const { graph: step, parameters } = build(count === 1 ? 'step' : 'accumulate');
  const { graph: evaluation } = build('evaluation');
  const { graph: update } = count === 1 ? { graph: step } : build('apply');
  const results = new Set([...step.outputs, ...update.outputs].map(({ name }) => name));
  const named = new Set(parameters.map(({ name }) => name));
  const isState = ({ name }: Value) => named.has(name) || results.has(nextName(name));
  const inputs = new Map([...step.inputs, ...update.inputs].map((value) => [value.name, value]));
  const need = {
    program: PROGRAM_BYTES,
    state: STATE_COPIES * bytesOf([...inputs.values()].filter(isState)),
    data: heldGroups(count, config) * bytesOf(step.inputs.filter((value) => !isState(value))),
    step: together > 1 ? stagedBytes(stagesOf(run(synchronised(step, together))), arena) : peak(step),
    validation: peak(evaluation) + bytesOf(evaluation.outputs),
  };
  return { ...need, total: Object.values(need).reduce((sum, bytes) => sum + bytes, 0) };
}

/**
 * What a training will take on an engine, as far as it is the training's own: a GPU's libraries take more.
 * @param together ranks that normalise each micro-batch together
 */
export async function predictMemory(
  workload: Workload,
  config: TrainingConfig,
  engine: Engine,
  together = 1,
): Promise<MemoryNeed> {
  const lowering = await loweringFor(config, engine);
  return needBy(workload, config, { run: (graph) => lower(graph, lowering), arena: ARENA, together });
}

/** How a need is found. */
type Predict = (workload: Workload, config: TrainingConfig) => Promise<MemoryNeed>;

/** By a graph that is not lowered yet: much sooner, and too little by less than this factor. */
const ROUGHLY = 2;
const predictRoughly =
  (together: number): Predict =>
  async (workload, config) =>
    needBy(workload, config, { run: (graph) => graph, arena: 1, together });

/** So far may a prediction be from what is taken. */
const TOLERANCE = 0.15;

/** A batch that is proposed must really fit. */
const MARGIN = 1.1;
/** Needs are linear in the samples; an even number, so that two parts of each whole can be compared. */
const BATCHES = [4, 8] as const;

/** Bytes for any number of samples at once, and of such groups in a step, by what two batches need. */
async function needByBatch(
  workload: Workload,
  config: TrainingConfig,
  predict: Predict,
  together: number,
): Promise<(size: number, count: number) => number> {
  const whole = (size: number) => ({ ...config, batch: together * size, microBatch: size });
  const [few, more] = await Promise.all(BATCHES.map((batch) => predict(workload, whole(batch))));
  return (size, count) => {
    const at = (part: keyof MemoryNeed) =>
      few![part] + ((more![part] - few![part]) / (BATCHES[1] - BATCHES[0])) * (size - BATCHES[0]);
    return at('total') + at('data') * (heldGroups(count, config) / heldGroups(together, config) - 1);
  };
}

/** What is found for any number of samples; null for a model of a fixed number. */
async function ofAnyBatch<T>(find: () => Promise<T>): Promise<T | null> {
  try {
    return await find();
  } catch (error) {
    if (error instanceof GraphError || error instanceof UserError) return null;
    throw error;
  }
}

/** What to set instead. */
async function remedy(
  workload: Workload,
  config: TrainingConfig,
  predict: Predict,
  limit: number,
  together: number,
): Promise<string> {
  const { batch, microBatch } = config;
  const need = await needByBatch(workload, config, predict, together);
  const [none, one] = [need(0, together), need(1, together)];
  const most = Math.floor((limit / MARGIN - none) / (one - none));
  const fitting = most > 1 ? most - (most % 2) : Math.max(0, most);
  if (fitting === 0) return 'choose a smaller network or smaller images, such as --preset tiny';
  if (together > 1)
    return `--set batch=${together * fitting} --set microBatch=null fits; or start more ranks`;
  if (microBatch !== null && microBatch > fitting) return `--set batch=${fitting} --set microBatch=null fits`;
  if (microBatch !== null) return `--set batch=${fitting - (fitting % microBatch)} fits`;
  let part = Math.min(fitting, batch);
  while (batch % part !== 0) part--;
  const parted = need(part, batch / part) <= limit / MARGIN;
  return `--set batch=${fitting} fits${parted ? `; --set microBatch=${part} computes the same batch in parts` : ''}`;
}

export const gigabytes = (bytes: number) =>
  `${bytes < 10e9 ? (bytes / 1e9).toFixed(1) : Math.round(bytes / 1e9).toLocaleString('en')} GB`;

/** What is recomputed for a limit, and what the training then needs. */
interface Fitted {
  readonly recompute: RecomputePlan;
  readonly bytes: number;
}

/**
 * The plan with which a training fits: step by step what saves most bytes per operation, as long as the peak falls. Where
 * nothing fits, the plan that is left when nothing helps any more.
 * @param bytes that are needed without a plan
 */
async function cheapestPlan(
  workload: Workload,
  config: TrainingConfig,
  predict: Predict,
  limit: number,
  bytes: number,
): Promise<Fitted> {
  const withPlan = (chosen: readonly Saving[]) => ({ ...config, recompute: planOf(chosen) });
  const roughly = async (chosen: readonly Saving[]) =>
    (await predictRoughly(1)(workload, withPlan(chosen))).total;
  const exactly = async (chosen: readonly Saving[]): Promise<Fitted> => {
    const planned = withPlan(chosen);
    return { recompute: planned.recompute, bytes: (await predict(workload, planned)).total };
  };
  let chosen: readonly Saving[] = [];
  const start = await roughly(chosen);
  let rough = start;
  for (const saving of savings(buildGraph('gradient', workload, config).graph)) {
    const more = [...chosen, saving];
    const now = await roughly(more);
    // An activation is nearly free, and may help once another one is gone.
    if (now > rough || (now === rough && saving.recomputed === 'layer')) continue;
    [chosen, rough] = [more, now];
    if (bytes - ARENA * (start - rough) > limit) continue;
    const found = await exactly(chosen);
    if (found.bytes <= limit) return found;
  }
  return exactly(chosen);
}

/**
 * The configuration with which a training fits into memory: with `memory` set, as little as possible is computed again for it.
 * @param machine bytes that there are
 * @param together as for {@link predictMemory}; nothing is computed again then
 * @throws UserError of kind `config` when a step does not fit, with the batch that does
 */
export async function fitMemory<C extends TrainingConfig>(
  workload: Workload,
  config: C,
  engine: Engine,
  reporter: Pick<Reporter, 'log'>,
  machine = memoryLimitBytes(),
  together = 1,
): Promise<C> {
  const { memory } = config;
  // Of a GPU's memory only the user can tell.
  if ((runsOnGpu(engine) || engine.provider === 'webgpu') && memory === null) return config;
  const limit = memory ?? machine * (1 + TOLERANCE);
  const { size, count } = microBatches(config);
  const rough = (await predictRoughly(together)(workload, config)).total;
  if (ROUGHLY * rough <= limit) return config;
  const roughly = await ofAnyBatch(() => needByBatch(workload, config, predictRoughly(together), together));
  const often = together > 1 ? ' on each rank' : count > 1 ? `, ${count} times per step` : '';
  const refusal = (bytes: number, fix: string, plan = '') =>
    new UserError('config', {
      what: 'a training step does not fit in memory',
      where: config.microBatch === null ? 'batch' : 'batch, microBatch',
      got: `${size} samples at once${often}: about ${gigabytes(bytes)}${plan}`,
      expected: `at most ${gigabytes(memory ?? machine)}`,
      fix,
    });
  const predict: Predict = (of, changed) => predictMemory(of, changed, engine, together);
  const smaller = 'choose a smaller network or smaller images, such as --preset tiny';
  if (roughly === null) {
    const { total } = await predict(workload, config);
    if (total <= limit) return config;
    throw refusal(total, smaller);
  }
  if (roughly(1, together) > limit) throw refusal(rough, smaller);
  // Far beyond the limit there is no need to build what is refused.
  const isNear = rough <= ROUGHLY * limit;
  const total = isNear
    ? (await predict(workload, config)).total
    : (await needByBatch(workload, config, predict, together))(size, count);
  if (total <= limit) return config;
  const plan = memory !== null && isNear ? await cheapestPlan(workload, config, predict, limit, total) : null;
  const planned = plan ? { ...config, recompute: plan.recompute } : config;
  if (plan && plan.bytes <= limit) {
    const layers = Object.keys(plan.recompute).length;
    reporter.log(
      `memory: about ${gigabytes(total)} would be needed; ${gigabytes(plan.bytes)} when ${layers} layers are partly recomputed`,
    );
    return planned;
  }
  throw refusal(
    plan?.bytes ?? total,
    await remedy(workload, planned, predict, memory ?? machine, together),
    plan ? ', with everything recomputed that helps' : '',
  );
}
