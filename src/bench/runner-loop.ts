import { createInterface } from 'node:readline';
import { UserError } from '../errors.js';
import { peakMemoryBytes } from '../machine.js';
import { repeat, warmUp } from './repeat.js';

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Says why a runner is unavailable, and ends. */
export function unavailable(reason: string): never {
  say({ unavailable: reason });
  process.exit(0);
}

/** What went wrong, without what would not help where it is said. */
const reasonOf = (error: unknown): string =>
  error instanceof UserError
    ? [error.facts.what, error.facts.got].filter((text) => text !== undefined).join(': ')
    : String(error);

// Whenever that is: by itself Node.js says it in a stack, and its own version last.
process.on('uncaughtException', (error) => unavailable(reasonOf(error)));

/** Milliseconds that a round takes at least, as in `baselines/runner.py`. */
const ROUND = 200;

/**
 * What a runner in TypeScript does: warms up, says that it is ready, then does its job for every line on standard input: once, or
 * over and over where that takes less than a fifth of a second. See runner.ts for what it says.
 * @param options.jobs how often a run does the job; once without it
 * @param options.facts what else is known before the first round
 * @param options.waited seconds that have been spent waiting for data so far
 * @param options.single a round is one run, however short
 */
export async function serveRounds(
  run: () => Promise<unknown>,
  detail: string,
  threads: number,
  {
    jobs = 1,
    facts,
    waited,
    single = false,
  }: {
    jobs?: number;
    facts?: Readonly<Record<string, number>>;
    waited?: () => number;
    single?: boolean;
  } = {},
): Promise<void> {
  await warmUp(run);
  say({ ready: true, detail, threads, facts });
  for await (const _ of createInterface({ input: process.stdin })) {
    const before = waited?.() ?? 0;
    const { seconds, spent } = await repeat(run, 1, single ? 0 : ROUND);
    const data = waited && { dataWait: (waited() - before) / spent };
    say({ seconds: seconds / jobs, peakBytes: peakMemoryBytes(), ...data });
  }
}
