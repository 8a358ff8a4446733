/** Doing something again and again. Imports nothing of Node.js: pages run it too. */

/** Runs at least `least` times and for at least `duration` ms. @returns mean seconds of a run, and all seconds */
export async function repeat(
  run: () => Promise<unknown>,
  least: number,
  duration: number,
): Promise<{ seconds: number; spent: number }> {
  const start = performance.now();
  let runs = 0;
  do {
    await run();
    runs++;
  } while (runs < least || performance.now() - start < duration);
  const spent = (performance.now() - start) / 1000;
  return { seconds: spent / runs, spent };
}

/** What goes before everything that is timed, as in `baselines/runner.py`. */
export const warmUp = (run: () => Promise<unknown>) => repeat(run, 2, 500);
