/** Work that opens things, one after the other, each of which must be closed whatever happens. */

type Close = () => unknown;

/** Closes all, the last opened first. @returns what went wrong first */
async function closeAll(closers: readonly Close[]): Promise<{ error: unknown } | null> {
  let failure: { error: unknown } | null = null;
  for (const close of closers.toReversed()) {
    try {
      await close();
    } catch (error) {
      failure ??= { error };
    }
  }
  return failure;
}

/**
 * Runs `work`, then closes what it has opened: a thread that is left behind would keep the process from ending.
 * @param work is given a function that it tells how to close each thing, as soon as that is open
 * @throws what went wrong first
 */
export async function closing<T>(work: (opened: (close: Close) => void) => Promise<T>): Promise<T> {
  const closers: Close[] = [];
  let result: T;
  try {
    result = await work((close) => closers.push(close));
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
  const failure = await closeAll(closers);
  if (failure) throw failure.error;
  return result;
}
