import { createHash } from 'node:crypto';
import {
  byTable,
  chooseForms,
  type FormTable,
  type FormTimes,
  type InForms,
  inForms,
  type Pattern,
  type Survey,
  survey,
  transferForms,
} from '../../graphs/forms/choice.js';
import { fastForms } from '../../graphs/forms/index.js';
import type { BlockedLayout } from '../../graphs/forms/layout.js';
import { PRODUCER } from '../../graphs/onnx/model.js';
import { summarize } from '../../graphs/onnx/summary.js';
import { type Graph, GraphError } from '../../graphs/onnx/types.js';
import { microBatches, type TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import { machineFacts } from '../machine.js';
import { type Reporter, silent } from '../progress.js';
import type { Engine } from '../runtime/engine.js';
import { blockedLayout } from './blocked-layout.js';
import { type FormCache, openFormCache } from './form-cache.js';
import { timePattern } from './form-times.js';
import { buildGraph, runsOnGpu, sessionOptions, type Workload } from './models.js';

/** Runs of fewer steps than this would not win back what measuring takes. */
const LEAST_STEPS = 1000;

/** Times of larger steps are taken with fewer samples: forms are ranked alike, in a fraction of the time. */
const MOST_FLOPS = 3e11;

/** Rounds of each pattern, and by how much a form may be slower than another to stay in them. */
const ROUNDS = 3;
const SLOWEST = 1.5;

/** A whole step in other forms than those of the fixed list must be this much faster: less may be chance. */
const MARGIN = 1.02;

/** What is to be chosen for a run. */
interface Tuning {
  readonly blocked: BlockedLayout | null;
  /** What a step runs, and the same for the samples with which times are taken. */
  readonly graph: Graph;
  readonly timed: Graph;
  readonly found: Survey;
  readonly cache: FormCache;
}

/** The graph in which a run spends its time, for a number of samples. */
function trainingGraph(workload: Workload, config: TrainingConfig, samples: number): Graph {
  const { count } = microBatches(config);
  const changed = { ...config, batch: samples * count, microBatch: samples };
  return buildGraph(count === 1 ? 'step' : 'accumulate', workload, changed).graph;
}

function machineOf({ threads }: TrainingConfig, engine: Engine, blocked: BlockedLayout | null) {
  const { cpu, features, cores, platform } = machineFacts();
  return {
    ...{ cpu, features, cores, platform, threads },
    engine: `${engine.name} ${engine.provider}`,
    ...(blocked ?? {}),
    version: PRODUCER.version,
  };
}

const isKnown = (times: FormTimes, { key, graphs }: Pattern) =>
  Object.keys(graphs).every((name) => times[key]?.[name] !== undefined);

/** The graph of fewer samples, where those of a step would take long; an even number of an even one, which may be pairs. */
function timedGraph(workload: Workload, config: TrainingConfig, graph: Graph, most: number): Graph {
  const { size } = microBatches(config);
  const unit = size % 2 === 0 ? 2 : 1;
  const samples = unit * Math.max(1, Math.floor(most / unit));
  if (samples >= size) return graph;
  try {
    return trainingGraph(workload, config, samples);
  } catch (error) {
    // A model of a fixed number of samples.
    if (error instanceof GraphError || error instanceof UserError) return graph;
    throw error;
  }
}

async function prepare(
  workload: Workload,
  config: TrainingConfig,
  engine: Engine,
  log: (line: string) => void,
): Promise<Tuning> {
  const blocked = await blockedLayout(engine);
  const { size } = microBatches(config);
  const graph = trainingGraph(workload, config, size);
  const { flops } = summarize(graph);
  const timed = timedGraph(workload, config, graph, (size * MOST_FLOPS) / flops);
  const cache = openFormCache(machineOf(config, engine, blocked), log);
  return { blocked, graph, timed, found: survey(timed, blocked), cache };
}

/** The whole graph in two choices of forms. */
function wholeStep(fast: InForms, chosen: InForms): Pattern {
  const digest = createHash('sha256')
    .update(JSON.stringify([chosen.table, chosen.names]))
    .digest('hex');
  return { key: `step ${digest.slice(0, 16)}`, graphs: { fast: fast.graph, chosen: chosen.graph } };
}

/**
 * The fastest forms by some times, or what must be timed first. What wins call by call must also win as a whole against the fixed list:
 * alone, a call finds its operands in the cache, and a machine may be busy for a moment.
 */
function decide(tuning: Tuning, times: FormTimes): { table: FormTable } | { missing: Pattern[] } {
  const { found, timed, graph, blocked } = tuning;
  const missing = found.patterns.filter((pattern) => !isKnown(times, pattern));
  if (missing.length > 0) return { missing };
  const table = chooseForms(found, times);
  const fast = inForms(timed, fastForms, blocked);
  const chosen = inForms(timed, byTable(table), blocked);
  const transferred = (choice: FormTable) => ({ table: transferForms(choice, [timed, graph], blocked) });
  if (fast.names.join() === chosen.names.join()) return transferred(fast.table);
  const whole = wholeStep(fast, chosen);
  if (!isKnown(times, whole)) return { missing: [whole] };
  const seconds = times[whole.key]!;
  return transferred(seconds.chosen! * MARGIN < seconds.fast! ? table : fast.table);
}

/** The fastest forms for a run on this machine, if all that decides it has been measured before. */
export async function measuredForms(
  workload: Workload,
  config: TrainingConfig,
  engine: Engine,
): Promise<FormTable | null> {
  const tuning = await prepare(workload, config, engine, () => {});
  const decision = decide(tuning, tuning.cache.read());
  return 'table' in decision ? decision.table : null;
}

/** The fastest forms for a run on this machine: by what was measured before, and by measuring the rest now. */
export async function tuneForms(
  workload: Workload,
  config: TrainingConfig,
  engine: Engine,
  reporter: Reporter,
  time = timePattern,
): Promise<FormTable> {
  const tuning = await prepare(workload, config, engine, reporter.log);
  const session = sessionOptions(config, tuning.blocked);
  let times = tuning.cache.read();
  for (;;) {
    const decision = decide(tuning, times);
    if ('table' in decision) return decision.table;
    const { missing } = decision;
    const progress = reporter.start({ label: 'choosing forms', total: missing.length, unit: 'patterns' });
    const found: Record<string, Record<string, number>> = {};
    try {
      for (const [i, pattern] of missing.entries()) {
        const timed = await time(pattern, engine, { session, rounds: ROUNDS, slowest: SLOWEST });
        const shortest = Object.entries(timed).map(([name, seconds]) => [name, Math.min(...seconds)]);
        found[pattern.key] = Object.fromEntries(shortest) as Record<string, number>;
        progress.update(i + 1);
      }
    } finally {
      progress.stop();
    }
    tuning.cache.add(found);
    times = { ...times, ...found };
  }
}

/** The configuration with its forms chosen: `auto` and `tuned` do not occur in it. */
export async function withChosenForms<C extends TrainingConfig>(
  workload: Workload,
  config: C,
  engine: Engine,
  reporter: Reporter = silent,
): Promise<C> {
  const { forms, steps } = config;
  if (forms !== 'auto' && forms !== 'tuned') return config;
  // What is measured would be the way of the operands to the GPU: its forms were chosen once for all.
  if (runsOnGpu(engine)) return { ...config, forms: 'fast' };
  if (forms === 'auto' && steps < LEAST_STEPS) return { ...config, forms: 'fast' };
  return { ...config, forms: await tuneForms(workload, config, engine, reporter) };
}
