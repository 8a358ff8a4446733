/** Exit codes of a process that was asked to end: by a cluster that stops its job, or from the keyboard. */
const EXIT_CODES: Partial<Record<NodeJS.Signals, number>> = { SIGTERM: 143, SIGINT: 130 };

/**
 * Listener for a signal that asks the process to end, which Node.js obeys by itself without `exit`: ends it, and so lets go of what was to be released then,
 * unless somebody else listens, who ends in a way of their own.
 */
export function exitUnheard(signal: NodeJS.Signals): void {
  if (process.listeners(signal).every((listener) => listener === exitUnheard))
    process.exit(EXIT_CODES[signal]);
}

/**
 * Has the process exit when it is asked to end: so it releases its locks and takes away its unfinished files. The lock of a process that
 * ended on another machine keeps others out for minutes.
 */
export function exitWhenTerminated(): void {
  process.on('SIGTERM', exitUnheard).on('SIGINT', exitUnheard);
}
