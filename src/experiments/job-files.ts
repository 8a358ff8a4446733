/** What a job leaves in the folder of its experiment: a log, and its result or why it failed. */
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { Job } from './jobs.js';

/** What a command printed with `--json`. */
export type JobResult = Readonly<Record<string, unknown>>;

export const jobsFolder = (out: string) => join(out, 'jobs');
const resultPath = (out: string, id: string) => join(jobsFolder(out), `${id}.json`);
const failurePath = (out: string, id: string) => join(jobsFolder(out), `${id}.failed`);
export const logPath = (out: string, id: string) => join(jobsFolder(out), `${id}.log`);

/** What is kept of a job that is done. */
interface Done extends Pick<Job, 'args' | 'basis'> {
  readonly result: JobResult;
}

/** What was kept of a job that was done before, by the same command. */
function readDone(out: string, { id, args }: Job): Done | undefined {
  try {
    const done = JSON.parse(readFileSync(resultPath(out, id), 'utf8')) as Done;
    return done.args.join('\n') === args.join('\n') ? done : undefined;
  } catch {
    return undefined;
  }
}

/** The result of a job that was done before, by the same command. */
export const readResult = (out: string, job: Job): JobResult | undefined => readDone(out, job)?.result;

/** What that result rests on; undefined also where an earlier version did not keep it. */
export const readBasis = (out: string, job: Job): string | undefined => readDone(out, job)?.basis;

export const writeResult = (out: string, { id, args, basis }: Job, result: JobResult): void =>
  writeFileAtomic(resultPath(out, id), `${JSON.stringify({ args, basis, result })}\n`);

/** Why a job failed. No two failures read alike, not even of the same cause. */
interface Failure {
  readonly said: string;
  readonly time: string;
}

/** The failure of a job that has not been started again since. */
export function readFailure(out: string, id: string): Failure | undefined {
  try {
    return JSON.parse(readFileSync(failurePath(out, id), 'utf8')) as Failure;
  } catch {
    return undefined;
  }
}

export function writeFailure(out: string, id: string, said: string): void {
  try {
    writeFileAtomic(failurePath(out, id), JSON.stringify({ said, time: new Date().toISOString() }));
  } catch {
    // A full disk, perhaps: it is the job's failure that must be told.
  }
}

export const clearFailure = (out: string, id: string): void => rmSync(failurePath(out, id), { force: true });

/** What a job said last. */
export function lastWords(out: string, id: string): string[] {
  const log = logPath(out, id);
  return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').slice(-6) : [];
}

/** Opens a job's log for a process to write to. */
export function withLog<T>(out: string, id: string, use: (log: number) => T): T {
  const path = logPath(out, id);
  let log: number;
  try {
    log = openSync(path, 'a');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  try {
    return use(log);
  } finally {
    closeSync(log);
  }
}
