import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../files.js';
import { machineFacts } from '../machine.js';

/**
 * How long a run's training took, one line each time it was started or resumed. Kept apart from metrics.jsonl,
 * which holds nothing that differs from one machine or day to the next.
 */
const fileOf = (run: string) => join(run, 'sessions.jsonl');

/** Keeps the record of one session, the last line of `sessions.jsonl`; a session that is killed leaves what it had. */
export function openSession(run: string): (session: object) => void {
  const before = existsSync(fileOf(run)) ? readFileSync(fileOf(run), 'utf8') : '';
  const machine = machineFacts();
  return (session) => {
    const line = JSON.stringify({ endedAt: new Date().toISOString(), ...session, machine });
    writeFileAtomic(fileOf(run), `${before}${line}\n`);
  };
}

/** All sessions of a run, oldest first. */
export function readSessions(run: string): Record<string, unknown>[] {
  if (!existsSync(fileOf(run))) return [];
  const lines = readFileSync(fileOf(run), 'utf8').split('\n');
  return lines
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
