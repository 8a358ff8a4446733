import { createInterface } from 'node:readline';
import { peakMemoryBytes } from '../machine.js';

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Says why a runner is unavailable, and ends. */
export function unavailable(reason: string): never {
  say({ unavailable: reason });
  process.exit(0);
}

/**
 * What a runner in TypeScript does: warms up, says that it is ready, then does its job once for every line on
 * standard input. See runner.ts for what it says.
 * @param options.jobs how often a run does the job; once without it
 * @param options.facts what else is known before the first round
 */
export async function serveRounds(
  run: () => Promise<unknown>,
  detail: string,
  threads: number,
  { jobs = 1, facts }: { jobs?: number; facts?: Readonly<Record<string, number>> } = {},
): Promise<void> {
  await run();
  await run();
  say({ ready: true, detail, threads, facts });
  for await (const _ of createInterface({ input: process.stdin })) {
    const start = performance.now();
    await run();
    say({ seconds: (performance.now() - start) / 1000 / jobs, peakBytes: peakMemoryBytes() });
  }
}
