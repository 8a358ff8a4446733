import type { Pattern } from '../../graphs/forms/choice.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { arrayOf, type Graph, knownShape, sizeOf } from '../../graphs/onnx/types.js';
import type { Engine, Session, SessionOptions, Tensors } from '../runtime/engine.js';

export interface TimingOptions {
  /** As the graphs of a run are loaded. */
  readonly session: SessionOptions;
  /** Rounds in which every form that is still compared runs; one more, not counted, goes before. */
  readonly rounds: number;
  /** Forms that take this many times as long as the fastest one are not run again. */
  readonly slowest: number;
}

/** Runs of a form in a round, of which the shortest counts; fewer when they have taken enough time. */
const RUNS = 3;
const ENOUGH_MS = 30;
/** The first run pays for memory that later ones have: only forms that are this much slower are left out after it. */
const FIRST_RUN = 2;

/** Numbers without zeros, as many as asked for at once so far. */
let noise = new Float32Array(0);

/** An input tensor each, of memory of its own. */
function feedsFor({ inputs }: Graph): Tensors {
  const shapes = inputs.map(({ shape }) => knownShape(shape, 'a trial'));
  const total = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  if (noise.length < total)
    noise = Float32Array.from({ length: total }, (_, i) => ((i * 37) % 101) / 50 - 1.005);
  let at = 0;
  return Object.fromEntries(
    inputs.map(({ name, type }, i) => {
      const shape = shapes[i]!;
      const size = sizeOf(shape);
      at += size;
      const data = type === 'float32' ? noise.subarray(at - size, at) : new (arrayOf(type))(size);
      return [name, { type, shape, data }];
    }),
  );
}

interface Runner {
  readonly name: string;
  readonly session: Session;
  readonly feeds: Tensors;
  /** Of a run, round by round. */
  readonly seconds: number[];
}

/** Seconds of a run, the shortest of a round. */
async function timeRound({ session, feeds }: Runner): Promise<number> {
  const begun = performance.now();
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS && performance.now() - begun < ENOUGH_MS; run++) {
    const start = performance.now();
    await session.run(feeds);
    best = Math.min(best, performance.now() - start);
  }
  return best / 1000;
}

/**
 * Times the forms of one pattern in turns, so that a change of the machine's load meets all of them.
 * @returns seconds of a run, round by round, of each form; of forms that are much slower, of fewer rounds
 */
export async function timePattern(
  { graphs }: Pattern,
  engine: Engine,
  { session: options, rounds, slowest }: TimingOptions,
): Promise<Record<string, number[]>> {
  const runners: Runner[] = [];
  try {
    for (const [name, graph] of Object.entries(graphs)) {
      const session = await engine.load(encodeModel(toModel(graph)), options);
      runners.push({ name, session, feeds: feedsFor(graph), seconds: [] });
    }
    const best = ({ seconds }: Runner) => Math.min(...seconds);
    let remaining = runners;
    for (let round = 0; round <= rounds && (remaining.length > 1 || round <= 1); round++) {
      for (const runner of remaining) {
        const seconds = await timeRound(runner);
        // What a first run took stands until there is a second one.
        if (round === 1) runner.seconds.length = 0;
        runner.seconds.push(seconds);
      }
      const limit = Math.min(...remaining.map(best)) * slowest * (round === 0 ? FIRST_RUN : 1);
      remaining = remaining.filter((runner) => best(runner) <= limit);
    }
    return Object.fromEntries(runners.map(({ name, seconds }) => [name, seconds]));
  } finally {
    for (const { session } of runners) await session.release();
  }
}
