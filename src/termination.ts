/** Exit code of a process that was asked to end. */
const TERMINATED = 143;

/**
 * Has the process exit when it is asked to end (SIGTERM), as by a cluster that stops its job: so it releases its locks, which Node.js
 * does not do by itself. The lock of a process that ended on another machine can only be removed by hand. Commands that listen for
 * the signal end in their own way.
 */
export function exitWhenTerminated(): void {
  process.on('SIGTERM', () => {
    if (process.listenerCount('SIGTERM') === 1) process.exit(TERMINATED);
  });
}
