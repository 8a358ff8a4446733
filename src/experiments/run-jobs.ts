/** Runs commands of `p2w` in processes of their own, several at once, and remembers what is done. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fromSystemError, UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { type Reporting, silent } from '../progress.js';
import { type Shard, shardOf } from '../shard.js';
import type { Job } from './plan.js';

/** What a command printed with `--json`. */
export type JobResult = Readonly<Record<string, unknown>>;

export interface RunJobsOptions extends Reporting {
  /** Folder of the experiment: `jobs/` gets a result and a log of each. */
  readonly out: string;
  /** How many run at once. */
  readonly processes: number;
  /** Runs only this share of the jobs; others, in the same folder, run the rest. */
  readonly shard?: Shard;
  /** True ends: running jobs are interrupted, so that they save, and no other begins. */
  readonly interrupted?: () => boolean;
}

/** The command line of this package, from the sources as well as from the built files. */
function p2wCommand(): string[] {
  const extension = extname(import.meta.url);
  const loader = extension === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return [...loader, fileURLToPath(new URL(`../../bin/p2w${extension}`, import.meta.url))];
}

const resultPath = (out: string, id: string) => join(out, 'jobs', `${id}.json`);
const logPath = (out: string, id: string) => join(out, 'jobs', `${id}.log`);

/** The result of a job that was done before, by the same command. */
function doneBefore(out: string, { id, args }: Job): JobResult | undefined {
  try {
    const done = JSON.parse(readFileSync(resultPath(out, id), 'utf8')) as {
      args: readonly string[];
      result: JobResult;
    };
    return done.args.join('\n') === args.join('\n') ? done.result : undefined;
  } catch {
    return undefined;
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a');
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

const MS_BETWEEN_LOOKS = 200;
/** Between looks for results of other shards. */
const MS_BETWEEN_POLLS = 2000;
const INTERRUPTED = 130;
/** What the others have to save when a job has failed. */
const SAVING_MS = 10_000;

/** How running jobs are told to end. */
interface Ending {
  /** At the next step, saving it. */
  readonly save: AbortController;
  /** At once. */
  readonly kill: AbortController;
}

function failed(log: string, id: string, signal: NodeJS.Signals | null): UserError {
  const said = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').slice(-6) : [];
  const killed = `it was killed by ${signal}${signal === 'SIGKILL' ? ', perhaps because memory ran out' : ''}`;
  return new UserError('runtime', {
    what: `a training run of the experiment failed: ${id}`,
    where: log,
    got: [...said, ...(signal ? [killed] : [])].join('\n'),
    fix: 'fix the cause and run the same command again: finished jobs are kept',
  });
}

/** Runs one job; its progress goes to its log. @returns its result, null when it was interrupted */
async function runJob({ id, args }: Job, out: string, { save, kill }: Ending): Promise<JobResult | null> {
  const log = openLog(logPath(out, id));
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...p2wCommand(), ...args, '--json'], {
      // Nothing is said on the channel: its end tells the child that we are gone.
      stdio: ['ignore', 'pipe', log, 'ipc'],
      // Ctrl-C of a terminal reaches its whole group; the children are told once, by us.
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new AbortController();
  for (const [{ signal }, name] of [
    [save, 'SIGINT'],
    [kill, 'SIGKILL'],
  ] as const)
    signal.addEventListener('abort', () => child.kill(name), { signal: ended.signal });
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (...end) => resolve(end));
    });
    if (code === 0) return JSON.parse(output.trimEnd().split('\n').at(-1)!) as JobResult;
    if (save.signal.aborted || code === INTERRUPTED) return null;
    throw failed(logPath(out, id), id, signal);
  } finally {
    ended.abort();
  }
}

/** One shard's share of the jobs that others need, and of the others. */
function jobsOf(jobs: readonly Job[], shard: Shard): Job[] {
  const isNeeded = ({ id }: Job) => jobs.some(({ after }) => after.includes(id));
  const parts = [jobs.filter(isNeeded), jobs.filter((job) => !isNeeded(job))];
  return parts.flatMap((part) => shardOf(part, shard));
}

/**
 * Runs jobs, each after those that it needs; what an earlier call has done is not done again. A shard waits for the jobs of others
 * that its own need.
 * @returns the results of all jobs that are done, by id; null when it was interrupted
 * @throws UserError of the first job that failed, as soon as those beside it have saved
 */
export async function runJobs(
  jobs: readonly Job[],
  options: RunJobsOptions,
): Promise<ReadonlyMap<string, JobResult> | null> {
  const { out, processes, shard, interrupted = () => false, reporter = silent } = options;
  makeFolder(join(out, 'jobs'));
  const results = new Map<string, JobResult>();
  const lookFor = (missing: readonly Job[]) => {
    for (const job of missing) {
      const before = results.has(job.id) ? undefined : doneBefore(out, job);
      if (before) results.set(job.id, before);
    }
  };
  lookFor(jobs);
  const own = shard ? jobsOf(jobs, shard) : jobs;
  const waiting = own.filter(({ id }) => !results.has(id));
  /** Jobs of other shards that own ones wait for. */
  const awaited = () =>
    jobs.filter((job) => !own.includes(job) && waiting.some(({ after }) => after.includes(job.id)));
  const done = () => own.filter(({ id }) => results.has(id)).length;
  const progress = reporter.start({
    label: 'experiment',
    total: own.length,
    unit: 'jobs',
    start: done(),
  });
  const ending: Ending = { save: new AbortController(), kill: new AbortController() };
  const { save, kill } = ending;
  const running = new Set<Promise<void>>();
  let failure: unknown;
  let patience: NodeJS.Timeout | undefined;
  const fail = (error: unknown) => {
    failure ??= error;
    save.abort();
    patience ??= setTimeout(() => kill.abort(), SAVING_MS);
  };
  let said = '';
  const sayWaiting = () => {
    const names = awaited()
      .filter(({ id }) => !results.has(id))
      .map(({ id }) => id);
    if (names.join() !== said) progress.log(`waiting for other shards: ${names.join(', ')}`);
    said = names.join();
  };
  const start = (job: Job) => {
    progress.log(`starting ${job.id}`);
    const run = runJob(job, out, ending)
      .then((result) => {
        if (result === null) return save.abort();
        writeFileAtomic(resultPath(out, job.id), `${JSON.stringify({ args: job.args, result })}\n`);
        results.set(job.id, result);
        progress.update(done());
      })
      .catch(fail)
      .finally(() => running.delete(run));
    running.add(run);
  };
  const look = setInterval(() => interrupted() && save.abort(), MS_BETWEEN_LOOKS);
  const killAll = () => kill.abort();
  process.once('exit', killAll);
  try {
    while (waiting.length > 0 || running.size > 0) {
      while (!save.signal.aborted && !interrupted() && running.size < processes) {
        const next = waiting.findIndex(({ after }) => after.every((id) => results.has(id)));
        if (next < 0) break;
        start(waiting.splice(next, 1)[0]!);
      }
      if (running.size === 0 && (save.signal.aborted || interrupted())) break;
      if (running.size === 0) sayWaiting();
      await Promise.race(shard ? [...running, sleep(MS_BETWEEN_POLLS)] : running);
      if (shard) lookFor(awaited());
    }
  } finally {
    clearInterval(look);
    clearTimeout(patience);
    process.removeListener('exit', killAll);
    progress.stop();
  }
  if (failure) throw failure;
  if (shard) lookFor(jobs);
  return done() === own.length ? results : null;
}
