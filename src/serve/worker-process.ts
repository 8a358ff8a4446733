/** One worker, seen from the service. */
import { type ChildProcess, fork } from 'node:child_process';
import { UserError } from '../errors.js';
import { programArguments } from '../program.js';
import type { FromWorker, Job, ModelFacts, Outcome, ToWorker, WorkerSettings } from './jobs.js';

/** A worker that has opened its models. */
export interface WorkerProcess {
  readonly models: readonly ModelFacts[];
  /** Windows that it computes at once, and so how many jobs it takes. */
  readonly batch: number;
  /** ONNX Runtime's version and provider. */
  readonly runtime: string;
  readonly pid: number;
  /** Memory at the end of its last job (resident set). */
  readonly rssBytes: number;
  /** How many jobs it is at. */
  readonly running: number;
  /** @throws WorkerDied when the process ends before it has answered */
  perform(job: Job): { readonly outcome: Promise<Outcome>; cancel(): void };
  /** Ends the process at once. */
  kill(): void;
  /** Resolves when the process has ended, with its signal or exit code. */
  readonly ended: Promise<string>;
}

/** The process of a job has ended. */
export class WorkerDied extends Error {}

/** Work that is cancelled ends between two windows; what does not is ended with its process. */
const CANCELLING_MS = 10_000;
const STARTING_MS = 300_000;

function forkWorker(): ChildProcess {
  const module = programArguments(import.meta.url, './worker/main');
  return fork(module.at(-1)!, {
    serialization: 'advanced',
    execArgv: module.slice(0, -1),
    // What libraries print is none of the service's logs.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

/**
 * Starts a worker.
 * @param onBatches is told the sizes of batches that were computed
 * @param signal ends the process, ready or not
 * @throws UserError when a model is refused; WorkerDied when the process ends meanwhile
 */
export function startWorker(
  settings: WorkerSettings,
  onBatches: (sizes: readonly number[]) => void,
  signal: AbortSignal,
): Promise<WorkerProcess> {
  const child = forkWorker();
  const send = (message: ToWorker) => {
    if (child.connected) child.send(message, () => {}); // one that has died says so by `exit`
  };
  interface Asked {
    resolve(outcome: Outcome): void;
    reject(error: Error): void;
    killer?: NodeJS.Timeout;
  }
  const asked = new Map<number, Asked>();
  let [next, rssBytes] = [0, 0];
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`)),
  );
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  void ended.then(() => signal.removeEventListener('abort', kill));
  const perform = (job: Job) => {
    const id = next++;
    const outcome = new Promise<Outcome>((resolve, reject) => asked.set(id, { resolve, reject }));
    send({ type: 'job', id, job });
    return {
      outcome,
      cancel: () => {
        const one = asked.get(id);
        if (!one || one.killer) return;
        send({ type: 'cancel', id });
        one.killer = setTimeout(kill, CANCELLING_MS);
      },
    };
  };
  const finish = (id: number, outcome: Outcome) => {
    const one = asked.get(id);
    asked.delete(id);
    clearTimeout(one?.killer);
    one?.resolve(outcome);
  };
  return new Promise((resolve, reject) => {
    const late = setTimeout(kill, STARTING_MS);
    child.on('message', (message: FromWorker) => {
      if (message.type === 'done') {
        rssBytes = message.rssBytes;
        onBatches(message.batches);
        finish(message.id, message.outcome);
        return;
      }
      clearTimeout(late);
      if (message.type === 'refused') {
        kill();
        reject(new UserError(message.kind, message.facts));
        return;
      }
      const { models, batch, runtime } = message;
      resolve({
        ...{ models, batch, runtime, pid: child.pid!, perform, kill, ended },
        get rssBytes() {
          return rssBytes;
        },
        get running() {
          return asked.size;
        },
      });
    });
    const died = (got: string) => {
      clearTimeout(late);
      const error = new WorkerDied(`a worker ended: ${got}`);
      reject(error);
      for (const [id, one] of asked) {
        asked.delete(id);
        clearTimeout(one.killer);
        one.reject(error);
      }
    };
    child.once('error', (error) => died(error.message));
    void ended.then(died);
    send({ type: 'start', settings });
  });
}
