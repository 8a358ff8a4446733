import { createInterface } from 'node:readline';
import { peakMemoryBytes } from '../machine.js';

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Says why a contestant cannot take part, and ends. */
export function stayAway(reason: string): never {
  say({ missing: reason });
  process.exit(0);
}

/**
 * What a contestant in TypeScript does: warms up, says that it is ready, then does its work once for every line on
 * standard input. See contestant.ts for what it says.
 */
export async function compete(run: () => Promise<unknown>, detail: string, threads: number): Promise<void> {
  await run();
  await run();
  say({ ready: true, detail, threads });
  for await (const _ of createInterface({ input: process.stdin })) {
    const start = performance.now();
    await run();
    say({ seconds: (performance.now() - start) / 1000, peakBytes: peakMemoryBytes() });
  }
}
