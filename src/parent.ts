import { Worker } from 'node:worker_threads';

/** A killed parent is noticed after this time at most. */
const MS_BETWEEN_LOOKS = 250;

/**
 * Ends this process as soon as its parent is gone, however that ended. A thread watches: while ONNX Runtime computes a step,
 * which may take a minute, the main thread hears of nothing.
 */
export function endWithParent(): void {
  const watch = `
    const parent = process.ppid;
    setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), ${MS_BETWEEN_LOOKS});
  `;
  new Worker(watch, { eval: true, execArgv: [] }).unref();
  // It may be gone by the time that the thread has begun; a parent that opened a channel closes it with its end.
  process.once('disconnect', () => process.exit(1));
  process.channel?.unref();
}
