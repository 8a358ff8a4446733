import { createInterface } from 'node:readline';
import { peakMemoryBytes } from '../machine.js';

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Says why a runner is unavailable, and ends. */
export function unavailable(reason: string): never {
  say({ unavailable: reason });
  process.exit(0);
}

/** Milliseconds that a run is repeated for at least, as in `baselines/runner.py`. */
const WARM_UP = 500;
const ROUND = 200;

/** Runs at least `least` times and for at least `duration` ms. @returns mean seconds of a run, and all seconds */
async function repeat(run: () => Promise<unknown>, least: number, duration: number) {
  const start = performance.now();
  let runs = 0;
  do {
    await run();
    runs++;
  } while (runs < least || performance.now() - start < duration);
  const spent = (performance.now() - start) / 1000;
  return { seconds: spent / runs, spent };
}

/**
 * What a runner in TypeScript does: warms up, says that it is ready, then does its job for every line on standard input: once, or
 * over and over where that takes less than a fifth of a second. See runner.ts for what it says.
 * @param options.jobs how often a run does the job; once without it
 * @param options.facts what else is known before the first round
 * @param options.waited seconds that have been spent waiting for data so far
 */
export async function serveRounds(
  run: () => Promise<unknown>,
  detail: string,
  threads: number,
  {
    jobs = 1,
    facts,
    waited,
  }: { jobs?: number; facts?: Readonly<Record<string, number>>; waited?: () => number } = {},
): Promise<void> {
  await repeat(run, 2, WARM_UP);
  say({ ready: true, detail, threads, facts });
  for await (const _ of createInterface({ input: process.stdin })) {
    const before = waited?.() ?? 0;
    const { seconds, spent } = await repeat(run, 1, ROUND);
    const data = waited && { dataWait: (waited() - before) / spent };
    say({ seconds: seconds / jobs, peakBytes: peakMemoryBytes(), ...data });
  }
}
