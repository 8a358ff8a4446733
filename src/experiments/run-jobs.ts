/** Runs commands of `p2w` in processes of their own, several at once, and remembers what is done. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { alone, type Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import { makeFolder } from '../files.js';
import { programArguments } from '../program.js';
import { type Reporting, silent } from '../progress.js';
import type { Shard } from '../shard.js';
import {
  clearFailure,
  type JobResult,
  jobsFolder,
  lastWords,
  logPath,
  readResult,
  withLog,
  writeFailure,
  writeResult,
} from './job-files.js';
import type { Job } from './jobs.js';
import { awaitedBy, noPeers, rankPeers, shards } from './peers.js';

export interface RunJobsOptions extends Reporting {
  /** Folder of the experiment: `jobs/` gets a result and a log of each. */
  readonly out: string;
  /** How many run at once. */
  readonly processes: number;
  /** Runs only this share of the jobs; others, in the same folder, run the rest. */
  readonly shard?: Shard;
  /** Divides the jobs among these instead: all of them return when all jobs are done, or one was interrupted. */
  readonly ranks?: Ranks;
  /** True ends: running jobs are interrupted, so that they save, and no other begins. */
  readonly interrupted?: () => boolean;
}

const MS_BETWEEN_LOOKS = 200;
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

function failed(out: string, id: string, signal: NodeJS.Signals | null): UserError {
  const killed = `it was killed by ${signal}${signal === 'SIGKILL' ? ', perhaps because memory ran out' : ''}`;
  return new UserError('runtime', {
    what: `a training run of the experiment failed: ${id}`,
    where: logPath(out, id),
    got: [...lastWords(out, id), ...(signal ? [killed] : [])].join('\n'),
    fix: 'fix the cause and run the same command again: finished jobs are kept',
  });
}

/** Runs one job; its progress goes to its log. @returns its result, null when it was interrupted */
async function runJob({ id, args }: Job, out: string, { save, kill }: Ending): Promise<JobResult | null> {
  const child: ChildProcess = withLog(out, id, (log) =>
    spawn(process.execPath, [...programArguments(import.meta.url, '../../bin/p2w'), ...args, '--json'], {
      // Nothing is said on the channel: its end tells the child that we are gone.
      stdio: ['ignore', 'pipe', log, 'ipc'],
      // Ctrl-C of a terminal reaches its whole group; the children are told once, by us.
      detached: true,
    }),
  );
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
    throw failed(out, id, signal);
  } finally {
    ended.abort();
  }
}

function peersOf(jobs: readonly Job[], { out, shard, ranks = alone }: RunJobsOptions) {
  if (ranks.size > 1) return rankPeers(jobs, ranks);
  return shard ? shards(jobs, out, shard) : noPeers(jobs);
}

/** What went wrong, in as many words as another process can use. */
const wordsOf = (error: unknown): string =>
  (error instanceof UserError ? error.facts.got : undefined) ?? (error as Error).message;

/**
 * Runs jobs, each after those that it needs; what an earlier call has done is not done again. A shard waits for the jobs of others
 * that its own need.
 * @returns the results of all jobs that are done, by id; null when it was interrupted
 * @throws UserError of the first job that failed, as soon as those beside it have saved; for a shard also when a job failed elsewhere
 *   that its own need
 */
export async function runJobs(
  jobs: readonly Job[],
  options: RunJobsOptions,
): Promise<ReadonlyMap<string, JobResult> | null> {
  const { out, processes, interrupted = () => false, reporter = silent } = options;
  makeFolder(jobsFolder(out));
  const results = new Map<string, JobResult>();
  const readResults = () => {
    for (const job of jobs) {
      const result = results.has(job.id) ? undefined : readResult(out, job);
      if (result) results.set(job.id, result);
    }
  };
  readResults();
  const peers = peersOf(jobs, options);
  const { own } = peers;
  let waiting = own.filter(({ id }) => !results.has(id));
  for (const { id } of waiting) clearFailure(out, id);
  const done = () => own.filter(({ id }) => results.has(id)).length;
  const progress = reporter.start({ label: 'experiment', total: own.length, unit: 'jobs', start: done() });
  const { save, kill }: Ending = { save: new AbortController(), kill: new AbortController() };
  const running = new Set<Promise<void>>();
  let failure: unknown;
  let patience: NodeJS.Timeout | undefined;
  /** Whether a job was interrupted, and not by us. */
  let isCut = false;
  const fail = (error: unknown) => {
    failure ??= error;
    save.abort();
    patience ??= setTimeout(() => kill.abort(), SAVING_MS);
  };
  let said = '';
  const sayWaiting = () => {
    const names = awaitedBy(jobs, own, waiting).flatMap(({ id }) => (results.has(id) ? [] : id));
    if (names.length > 0 && names.join() !== said) progress.log(`waiting for others: ${names.join(', ')}`);
    said = names.join();
  };
  const start = (job: Job) => {
    progress.log(`starting ${job.id}`);
    const run = runJob(job, out, { save, kill })
      .then((result) => {
        if (result === null) {
          isCut = true;
          return;
        }
        writeResult(out, job, result);
        results.set(job.id, result);
        progress.update(done());
      })
      .catch((error) => {
        writeFailure(out, job.id, wordsOf(error));
        fail(error);
      })
      .finally(() => running.delete(run));
    running.add(run);
  };
  const startable = () => waiting.find(({ after }) => after.every((id) => results.has(id)));
  const startAll = () => {
    for (let next = startable(); next && running.size < processes; next = startable()) {
      waiting = waiting.filter((job) => job !== next);
      start(next);
    }
  };
  const look = async () => {
    const asked = isCut || interrupted();
    const isIdle = running.size === 0 && !startable();
    const outlook = await peers.look({ results, asked, waiting, isIdle });
    if (outlook.stop) save.abort();
    waiting = waiting.filter(({ id }) => !results.has(id));
    return outlook.done;
  };
  const killAll = () => kill.abort();
  process.once('exit', killAll);
  let isDone = false;
  try {
    isDone = await look();
    while (!isDone && (running.size > 0 || !save.signal.aborted)) {
      if (!save.signal.aborted) startAll();
      if (running.size === 0) sayWaiting();
      await sleep(MS_BETWEEN_LOOKS);
      // Ranks that have agreed to stop, or one of which has failed, do not meet again.
      if (!save.signal.aborted) isDone = await look();
    }
  } finally {
    clearTimeout(patience);
    process.removeListener('exit', killAll);
    progress.stop();
  }
  if (failure) throw failure;
  if (options.shard) readResults();
  return isDone ? results : null;
}
