/** How the jobs of an experiment are divided among processes, and how these learn of each other's. */
import type { Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import { type Shard, shardOf } from '../shard.js';
import { type JobResult, logPath, readFailure, readResult } from './job-files.js';
import type { Job } from './jobs.js';

/** What a process knows when it looks at the others. */
export interface Here {
  /** By job; what the others have done is added. */
  readonly results: Map<string, JobResult>;
  /** Whether it was asked to stop. */
  readonly asked: boolean;
  /** Own jobs that have not begun. */
  readonly waiting: readonly Job[];
  /** Whether it can do nothing until others have done something. */
  readonly isIdle: boolean;
}

/** What a process is to do then. */
export interface Outlook {
  readonly stop: boolean;
  readonly done: boolean;
}

/** All processes that run the jobs of a plan, seen from one of them. */
export interface Peers {
  /** Jobs of this process. */
  readonly own: readonly Job[];
  look(here: Here): Promise<Outlook>;
}

const areDone = (jobs: readonly Job[], results: ReadonlyMap<string, JobResult>) =>
  jobs.every(({ id }) => results.has(id));

/** One process that does everything. */
export const noPeers = (jobs: readonly Job[]): Peers => ({
  own: jobs,
  look: async ({ results, asked }) => ({ stop: asked, done: areDone(jobs, results) }),
});

/** One shard's share of the jobs that others need, and of the others. */
function jobsOf(jobs: readonly Job[], shard: Shard): Job[] {
  const isNeeded = ({ id }: Job) => jobs.some(({ after }) => after.includes(id));
  const parts = [jobs.filter(isNeeded), jobs.filter((job) => !isNeeded(job))];
  return parts.flatMap((part) => shardOf(part, shard));
}

/** Jobs of others that own ones wait for. */
export const awaitedBy = (jobs: readonly Job[], own: readonly Job[], waiting: readonly Job[]): Job[] =>
  jobs.filter((job) => !own.includes(job) && waiting.some(({ after }) => after.includes(job.id)));

/** Between looks for files of other shards. */
const FILES_MS = 2000;
/** A failure from before is no news for so long: the shard that had it may be about to start again, as this one did. */
const RESTART_MS = 60_000;

const failedElsewhere = (out: string, id: string, said: string) =>
  new UserError('runtime', {
    what: `a training run of another shard failed, which this one needs: ${id}`,
    where: logPath(out, id),
    got: said,
    fix: 'fix the cause, and start that shard and this one again: finished jobs are kept',
  });

/**
 * Shards, which share a folder and nothing else.
 * @throws UserError from `look` once only a job that failed elsewhere is waited for
 */
export function shards(jobs: readonly Job[], out: string, shard: Shard): Peers {
  const own = jobsOf(jobs, shard);
  const began = Date.now();
  const before = new Map(jobs.map(({ id }) => [id, readFailure(out, id)?.time]));
  const byId = new Map(jobs.map((job) => [job.id, job]));
  /** A job and all that it needs. */
  const chain = (job: Job): Job[] => [job, ...job.after.flatMap((id) => chain(byId.get(id)!))];
  const refuseFailed = (awaited: Job) => {
    for (const { id } of chain(awaited)) {
      const failure = readFailure(out, id);
      if (failure && (failure.time !== before.get(id) || Date.now() - began > RESTART_MS))
        throw failedElsewhere(out, id, failure.said);
    }
  };
  let looked = Number.NEGATIVE_INFINITY;
  return {
    own,
    async look({ results, asked, waiting, isIdle }) {
      const outlook = { stop: asked, done: areDone(own, results) };
      if (performance.now() - looked < FILES_MS) return outlook;
      looked = performance.now();
      for (const job of awaitedBy(jobs, own, waiting)) {
        if (results.has(job.id)) continue;
        const result = readResult(out, job);
        if (result) results.set(job.id, result);
        else if (isIdle) refuseFailed(job);
      }
      return outlook;
    },
  };
}

/** Ranks, which tell each other what they have done, and stop together. */
export function rankPeers(jobs: readonly Job[], ranks: Ranks): Peers {
  const told = new Set<string>();
  return {
    own: jobsOf(jobs, { index: ranks.rank + 1, count: ranks.size }),
    async look({ results, asked }) {
      const news = [...results].filter(([id]) => !told.has(id));
      const all = await ranks.gather({ asked, news });
      for (const [id, result] of all.flatMap((rank) => rank.news)) {
        told.add(id);
        results.set(id, result);
      }
      return { stop: all.some((rank) => rank.asked), done: areDone(jobs, results) };
    },
  };
}
