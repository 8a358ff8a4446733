/** Exit codes of a process that was asked to end: by a cluster that stops its job, or from the keyboard. */
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;

/**
 * Has the process exit when it is asked to end: so it releases its locks and takes away its unfinished files, which Node.js
 * does not do by itself. The lock of a process that ended on another machine keeps others out for minutes. Commands that listen for
 * the signal end in their own way.
 */
export function exitWhenTerminated(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES))
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(code);
    });
}
