import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError } from '../errors.js';
import { machineFacts } from '../machine.js';

/**
 * How long a run's training took, one line each time it was started or resumed. Kept apart from metrics.jsonl,
 * which holds nothing that differs from one machine or day to the next.
 */
const fileOf = (run: string) => join(run, 'sessions.jsonl');

/** Adds a line to `sessions.jsonl`. */
export function appendSession(run: string, session: object): void {
  const line = `${JSON.stringify({ endedAt: new Date().toISOString(), ...session, machine: machineFacts() })}\n`;
  try {
    appendFileSync(fileOf(run), line);
  } catch (error) {
    throw fromSystemError(error, fileOf(run));
  }
}

/** All sessions of a run, oldest first. */
export function readSessions(run: string): Record<string, unknown>[] {
  if (!existsSync(fileOf(run))) return [];
  const lines = readFileSync(fileOf(run), 'utf8').split('\n');
  return lines
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
