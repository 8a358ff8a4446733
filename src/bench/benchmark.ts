import { UserError } from '../errors.js';
import { type Round, Runner, type RunnerInfo, type RunnerSpec } from './runner.js';
import { type Spread, spreadOf } from './spread.js';

/** One runner's result. */
export interface Row extends RunnerInfo {
  readonly name: string;
  readonly seconds: Spread;
  readonly peakBytes: number;
}

/** A baseline that could not be run. */
export interface Unavailable {
  readonly name: string;
  readonly unavailable: string;
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

/** Rounds in which several configurations of a baseline are compared. */
const TRIAL_ROUNDS = 2;

/** The fastest of several configurations of one baseline, each tried alone in a process of its own. */
async function fastest(
  configurations: readonly RunnerSpec[],
  log: (line: string) => void,
): Promise<RunnerSpec | Unavailable> {
  if (configurations.length === 1) return configurations[0]!;
  const { name } = configurations[0]!;
  let best: { spec: RunnerSpec; seconds: number } | undefined;
  let failed: Unavailable | undefined;
  for (const spec of configurations) {
    const started = await start(spec);
    if ('unavailable' in started) {
      // Without an interpreter, or the library, no other configuration will do either.
      if (spec === configurations[0]) return started;
      failed = started;
      continue;
    }
    const { runner, info } = started;
    const title = `${info.detail}, ${info.threads} threads`;
    try {
      const rounds: Round[] = [];
      for (let i = 0; i < TRIAL_ROUNDS; i++) rounds.push(await runner.round());
      const seconds = Math.min(...rounds.map((round) => round.seconds));
      log(`${title}: ${seconds.toPrecision(3)} s`);
      if (!best || seconds < best.seconds) best = { spec, seconds };
    } catch (error) {
      // One that takes too much memory, as it may be: others may take less.
      if (!(error instanceof UserError)) throw error;
      failed = { name, unavailable: `${title}: ${error.facts.got}` };
      log(`${title}: left out, ${error.facts.got}`);
    } finally {
      await runner.stop();
    }
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
  }));
  const mine = results[0]!.seconds;
  return {
    rows: results.map(({ name, info, seconds, peakBytes }) => ({
      ...{ name, ...info, seconds: spreadOf(seconds), peakBytes },
    })),
    unavailable,
    ratios: results.slice(1).map(({ name, seconds }) => ({
      baseline: name,
      ...spreadOf(seconds.map((s, round) => s / mine[round]!)),
    })),
  };
}
