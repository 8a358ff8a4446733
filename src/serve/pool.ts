/** The workers, and the queue before them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../errors.js';
import {
  type Answer,
  type Job,
  jobsAtOnce,
  type ModelFacts,
  type ModelFile,
  type WorkerSettings,
} from './jobs.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import { Refusal } from './refusal.js';
import { startWorker, WorkerDied, type WorkerProcess } from './worker-process.js';

export interface PoolOptions {
  /** Jobs that may wait. */
  readonly queue: number;
  readonly timeoutSeconds: number;
  readonly settings: WorkerSettings;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface Pool {
  /** The models that are served. */
  readonly models: readonly ModelFacts[];
  /** Their files. */
  readonly files: readonly ModelFile[];
  readonly runtime: string;
  /** Workers that are ready. */
  readonly ready: number;
  readonly waiting: number;
  readonly running: number;
  /** Memory of all workers together (resident sets). */
  readonly rssBytes: number;
  /** @throws Refusal 429 while no more jobs may wait: to be called before an upload is received, too */
  checkRoom(): void;
  /**
   * Does a job when it is its turn. One whose worker dies is given to another worker once.
   * @throws Refusal 429 when the queue is full, 504 when it takes too long, 500 when it fails; UserError for what is wrong with it;
   *   the signal's reason when nobody waits for it any more
   */
  run(job: Job, signal: AbortSignal): Promise<{ readonly answer: Answer; readonly sha256: string }>;
  /**
   * Replaces the workers one by one with ones that have opened other model files. Jobs go on meanwhile.
   * @throws UserError when a model is refused, WorkerDied when the first worker dies of it: then nothing has changed
   */
  swap(models: readonly ModelFile[]): Promise<void>;
  close(): Promise<void>;
}

interface Waiting {
  readonly job: Job;
  readonly signal: AbortSignal;
  readonly since: number;
  /** Workers that died of it, or beside it. */
  deaths: number;
  resolve(result: { readonly answer: Answer; readonly sha256: string }): void;
  reject(error: unknown): void;
}

interface Member {
  readonly worker: WorkerProcess;
  /** Of the model files that it has opened. */
  readonly files: readonly ModelFile[];
  /** Takes no more jobs. */
  retiring: boolean;
  /** Whether it is at a job that a worker may have died of. */
  suspecting: boolean;
}

/** Whether a worker may be given a job. One that a worker may have died of is not done beside others, which would suffer with it. */
const hasRoom = ({ worker, retiring, suspecting }: Member, { deaths }: Waiting) =>
  !retiring && !suspecting && worker.running < (deaths > 0 ? 1 : jobsAtOnce(worker.batch));

const MOST_DEATHS = 2;
const FIRST_DELAY_MS = 100;
const MOST_DELAY_MS = 10_000;
/** Weight of the last job in the mean time of jobs. */
const LAST = 0.1;

const diedAtStart = (cause: WorkerDied) =>
  new UserError('runtime', {
    what: 'a worker ended while it opened the models',
    got: cause.message,
    fix: 'free some memory, or serve fewer models',
    cause,
  });

/** Starts workers. @throws UserError when a model is refused, or the first worker dies of it */
export async function openPool(options: PoolOptions): Promise<Pool> {
  const { queue, settings, metrics, log } = options;
  const { workers: size } = settings;
  const members = new Set<Member>();
  const waiting: Waiting[] = [];
  let files = settings.models;
  let models: readonly ModelFacts[] = [];
  let [runtime, batch] = ['', settings.batch];
  let meanSeconds = 1;
  /** Files that were replaced: a worker that still opens them when they are comes too late. */
  const outdated = new WeakSet<readonly ModelFile[]>();
  const closing = new AbortController();
  /** Workers that are opening their models. */
  const starting = new Set<Promise<WorkerProcess>>();

  const running = () => [...members].reduce((sum, { worker }) => sum + worker.running, 0);
  const full = () => {
    const perWorker = (waiting.length + 1) / Math.max(1, members.size);
    const retryAfterSeconds = Math.min(Math.max(Math.ceil(perWorker * meanSeconds), 1), 120);
    return new Refusal(429, 'the service is busy', { retryAfterSeconds });
  };

  /** Gives jobs, in their order, to the workers that have least to do. */
  const dispatch = (): void => {
    while (waiting.length > 0) {
      const able = [...members].filter((member) => hasRoom(member, waiting[0]!));
      const [idlest] = able.sort((a, b) => a.worker.running - b.worker.running);
      if (!idlest) break;
      void perform(idlest, waiting.shift()!);
    }
    for (const { retiring, worker } of members) if (retiring && worker.running === 0) worker.kill();
  };

  /** Before all that came later. */
  const putBack = (one: Waiting): void => {
    const at = waiting.findIndex(({ since }) => since > one.since);
    waiting.splice(at < 0 ? waiting.length : at, 0, one);
  };

  /**
   * A signal for a job: it comes when the client leaves, and when the time is over. It is not made by `AbortSignal.any`, which
   * Node.js never frees while anybody listens.
   */
  const limited = (client: AbortSignal) => {
    const ending = new AbortController();
    const late = () =>
      new Refusal(504, 'the request took too long', { got: `over ${options.timeoutSeconds} s` });
    const timer = setTimeout(() => ending.abort(late()), 1000 * options.timeoutSeconds);
    const left = () => ending.abort(client.reason);
    client.addEventListener('abort', left);
    const clear = () => {
      clearTimeout(timer);
      client.removeEventListener('abort', left);
    };
    return { signal: ending.signal, clear };
  };

  const leave = (one: Waiting): void => {
    const at = waiting.indexOf(one);
    if (at < 0) return;
    waiting.splice(at, 1);
    one.reject(one.signal.reason);
    dispatch();
  };

  const perform = async (member: Member, one: Waiting): Promise<void> => {
    const { job, signal } = one;
    const began = performance.now();
    metrics.queueSeconds.observe((began - one.since) / 1000);
    const { outcome, cancel } = member.worker.perform(job);
    member.suspecting = one.deaths > 0;
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const result = await outcome;
      if ('answer' in result) one.resolve({ answer: result.answer, sha256: result.model });
      else if ('cancelled' in result) one.reject(signal.reason);
      else if ('unavailable' in result)
        one.reject(new Refusal(503, result.unavailable, { retryAfterSeconds: 5 }));
      else if ('defect' in result)
        one.reject(new Refusal(500, 'the service failed', { cause: result.defect }));
      else one.reject(new UserError(result.kind, result.facts));
      const seconds = (performance.now() - began) / 1000;
      if ('answer' in result) meanSeconds += LAST * (seconds - meanSeconds);
    } catch (error) {
      one.deaths++;
      if (signal.aborted) one.reject(signal.reason);
      else if (one.deaths < MOST_DEATHS && !closing.signal.aborted) putBack(one);
      else one.reject(new Refusal(500, 'the worker died of this request', { cause: error }));
    } finally {
      member.suspecting = false;
      signal.removeEventListener('abort', cancel);
      dispatch();
    }
  };

  const active = () => [...members].filter(({ retiring }) => !retiring);

  /** No more workers than wanted; those with other model files than now go first. */
  const retireSurplus = (): void => {
    const outdatedFirst = active().sort((a, b) => Number(a.files === files) - Number(b.files === files));
    for (const member of outdatedFirst.slice(0, Math.max(0, outdatedFirst.length - size)))
      member.retiring = true;
  };

  /** @param wanted files that are not yet served are served from now on, if they can be opened */
  const start = async (wanted: readonly ModelFile[]): Promise<void> => {
    const opening = startWorker(
      { ...settings, models: wanted, batch },
      (sizes) => {
        for (const windows of sizes) metrics.batchWindows.observe(windows);
      },
      closing.signal,
    );
    starting.add(opening);
    const worker = await opening.finally(() => starting.delete(opening));
    const member: Member = { worker, files: wanted, retiring: false, suspecting: false };
    members.add(member);
    log('worker-started', { pid: worker.pid });
    void worker.ended.then((reason) => {
      members.delete(member);
      if (member.retiring || closing.signal.aborted) return;
      log('worker-died', { pid: worker.pid, reason });
      metrics.workerDeaths.inc();
      void replace();
    });
    ({ runtime } = worker);
    batch ??= worker.batch;
    if (!outdated.has(wanted)) {
      if (files !== wanted) outdated.add(files);
      files = wanted;
      ({ models } = worker);
    }
    retireSurplus();
    dispatch();
  };

  /** Starts a worker. One that dies at once is not started again at once. */
  const replace = async (): Promise<void> => {
    for (let delay = FIRST_DELAY_MS; !closing.signal.aborted; delay = Math.min(2 * delay, MOST_DELAY_MS)) {
      try {
        await start(files);
        return;
      } catch (error) {
        if (closing.signal.aborted) return;
        log('worker-failed', {
          reason: error instanceof Error ? error.message.split('\n')[0]! : String(error),
        });
        await sleep(delay, undefined, { ref: false });
      }
    }
  };

  await start(files).catch((error) => {
    throw error instanceof WorkerDied ? diedAtStart(error) : error;
  });
  const others = await Promise.allSettled(Array.from({ length: size - 1 }, () => start(files)));
  for (const { status } of others) if (status === 'rejected') void replace();

  return {
    get models() {
      return models;
    },
    get files() {
      return files;
    },
    get runtime() {
      return runtime;
    },
    get ready() {
      return active().length;
    },
    get waiting() {
      return waiting.length;
    },
    get running() {
      return running();
    },
    get rssBytes() {
      return [...members].reduce((sum, { worker }) => sum + worker.rssBytes, 0);
    },
    checkRoom: () => {
      if (waiting.length >= queue) throw full();
    },
    async run(job, client) {
      client.throwIfAborted();
      if (waiting.length >= queue) throw full();
      const { signal, clear } = limited(client);
      try {
        return await new Promise((resolve, reject) => {
          const one = { job, signal, since: performance.now(), deaths: 0, resolve, reject };
          signal.addEventListener('abort', () => leave(one), { once: true });
          waiting.push(one);
          dispatch();
        });
      } finally {
        clear();
      }
    },
    async swap(wanted) {
      await start(wanted);
      // From here on it is done, and has to be finished.
      while (active().some((member) => member.files !== wanted) && !closing.signal.aborted) await replace();
    },
    async close() {
      closing.abort();
      for (const { reject } of waiting.splice(0)) reject(new Refusal(503, 'the service is shutting down'));
      for (const { worker } of members) worker.kill();
      await Promise.allSettled([...starting, ...[...members].map(({ worker }) => worker.ended)]);
    },
  };
}
