import { UserError } from '../errors.js';
import { type NotReady, type Round, Runner, type RunnerInfo, type RunnerSpec } from './runner.js';
import { type Spread, spreadOf } from './spread.js';

/** One runner's result. */
export interface Row extends RunnerInfo {
  readonly name: string;
  readonly seconds: Spread;
  readonly peakBytes: number;
  /** Share of all rounds that was spent waiting for data; absent where they lie in memory. */
  readonly dataWait?: number;
}

/** A baseline that could not be run. */
export interface Unavailable extends NotReady {
  readonly name: string;
}

/** How many times as long a baseline took as this package, round by round. */
export interface Ratio extends Spread {
  readonly baseline: string;
}

export interface Benchmark {
  readonly rows: readonly Row[];
  readonly unavailable: readonly Unavailable[];
  readonly ratios: readonly Ratio[];
}

/** How a runner is configured. */
export const configurationOf = ({ detail, threads }: RunnerInfo): string =>
  `${detail}, ${threads} thread${threads === 1 ? '' : 's'}`;

interface Started {
  readonly spec: RunnerSpec;
  readonly runner: Runner;
  readonly info: RunnerInfo;
}

async function start(spec: RunnerSpec): Promise<Started | Unavailable> {
  const runner = new Runner(spec);
  const info = await runner.ready();
  if (!('unavailable' in info)) return { spec, runner, info };
  await runner.stop();
  return { name: spec.name, ...info };
}

/** The mean of rounds, which take about as long as each other. */
function dataWaitOf(rounds: readonly Round[]): Pick<Row, 'dataWait'> {
  const shares = rounds.map(({ dataWait }) => dataWait).filter((share) => share !== undefined);
  return shares.length === 0 ? {} : { dataWait: shares.reduce((a, b) => a + b) / shares.length };
}

/** A configuration whose first round takes this many times the least seconds so far is tried no further. */
const CLEARLY_SLOWER = 1.5;

/** The least seconds of two rounds, alone, or of one that is clearly slower than the least so far; it is stopped then. */
async function trial(
  { spec, runner, info }: Started,
  least: number,
  log: (line: string) => void,
): Promise<number | Unavailable> {
  const title = configurationOf(info);
  try {
    const first = await runner.round();
    const isSlower = first.seconds > CLEARLY_SLOWER * least;
    const seconds = isSlower ? first.seconds : Math.min(first.seconds, (await runner.round()).seconds);
    log(`${title}: ${seconds.toPrecision(3)} s`);
    return seconds;
  } catch (error) {
    // One that takes too much memory, as it may be: others may take less.
    if (!(error instanceof UserError)) throw error;
    log(`${title}: left out, ${error.facts.got}`);
    return { name: spec.name, unavailable: `${title}: ${error.facts.got}` };
  } finally {
    await runner.stop();
  }
}

/**
 * The fastest of several configurations of one baseline, each tried alone in a process of its own. If it is one with an
 * environment of its own, it is tried without that, too: all configurations twice would take too long.
 */
async function fastest(
  configurations: readonly RunnerSpec[],
  log: (line: string) => void,
): Promise<RunnerSpec | Unavailable> {
  if (configurations.length === 1 && !configurations[0]!.environment) return configurations[0]!;
  let best: { spec: RunnerSpec; seconds: number } | undefined;
  let failed: Unavailable | undefined;
  const tryOut = async (spec: RunnerSpec) => {
    const started = await start(spec);
    if ('unavailable' in started && !started.missing)
      log(`${spec.name}: a configuration is left out, ${started.unavailable}`);
    const seconds = 'unavailable' in started ? started : await trial(started, best?.seconds ?? Infinity, log);
    if (typeof seconds !== 'number') failed = seconds;
    else if (!best || seconds < best.seconds) best = { spec, seconds };
  };
  for (const spec of configurations) {
    await tryOut(spec);
    if (failed?.missing) break;
  }
  if (best?.spec.environment) {
    const { environment: _, ...asItIs } = best.spec;
    await tryOut(asItIs);
  }
  return best?.spec ?? failed!;
}

/**
 * Times this package against baselines: each baseline's fastest configuration, all in processes of their own that take
 * turns, round by round, so that a change of the machine's load meets all of them.
 * @param rounds at least 1
 * @throws UserError when this package cannot do the job, or a runner ends before its last round
 */
export async function benchmark(
  own: RunnerSpec,
  baselines: readonly (readonly RunnerSpec[])[],
  rounds: number,
  log: (line: string) => void,
): Promise<Benchmark> {
  const unavailable: Unavailable[] = [];
  const chosen: RunnerSpec[] = [own];
  for (const configurations of baselines) {
    const spec = await fastest(configurations, log);
    if ('unavailable' in spec) unavailable.push(spec);
    else chosen.push(spec);
  }
  const running = new Map<Started, Round[]>();
  try {
    for (const spec of chosen) {
      const started = await start(spec);
      if (!('unavailable' in started)) {
        started.runner.pause();
        running.set(started, []);
      } else if (spec !== own) unavailable.push(started);
      else
        throw new UserError('runtime', {
          what: 'this package cannot do the job',
          got: started.unavailable,
        });
    }
    for (let round = 1; round <= rounds; round++) {
      const times: string[] = [];
      for (const [{ spec, runner }, done] of running) {
        const measured = await runner.round();
        done.push(measured);
        times.push(`${spec.name} ${measured.seconds.toPrecision(3)} s`);
      }
      log(`round ${round} of ${rounds}: ${times.join(', ')}`);
    }
  } finally {
    await Promise.all([...running.keys()].map(({ runner }) => runner.stop()));
  }
  const results = [...running].map(([{ spec, info }, done]) => ({
    ...{ name: spec.name, info, seconds: done.map(({ seconds }) => seconds) },
    peakBytes: Math.max(...done.map((round) => round.peakBytes)),
    ...dataWaitOf(done),
  }));
  const mine = results[0]!.seconds;
  return {
    rows: results.map(({ info, seconds, ...row }) => ({ ...row, ...info, seconds: spreadOf(seconds) })),
    unavailable,
    ratios: results.slice(1).map(({ name, seconds }) => ({
      baseline: name,
      ...spreadOf(seconds.map((s, round) => s / mine[round]!)),
    })),
  };
}
