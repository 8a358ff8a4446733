import { extname } from 'node:path';
import { parentPort, Worker } from 'node:worker_threads';
import { type ErrorFacts, type ErrorKind, UserError } from './errors.js';

/** Threads that answer requests, each one after the other, in the order in which they are asked. */
export interface Threads<Request, Answer> {
  /** @throws what the thread threw, or a UserError of kind `data` when it has died, as for want of memory */
  ask(request: Request): Promise<Answer>;
  /** Whether the process stays alive for the threads, as it does at first; those that only wait for work need not. */
  keepAlive(stay: boolean): void;
  close(): Promise<void>;
}

/** An answer, or the facts of a UserError: errors lose their class on the way between threads. */
type Reply<Answer> = { readonly answer: Answer } | { readonly kind: ErrorKind; readonly facts: ErrorFacts };

/**
 * Starts a module of this package in a thread: from the sources as well as from the built files.
 * @param workerData is copied to the thread
 */
function startWorker(metaUrl: string, name: string, workerData: unknown): Worker {
  const extension = extname(metaUrl);
  const url = new URL(`${name}${extension}`, metaUrl);
  if (extension !== '.ts') return new Worker(url, { workerData });
  // `--import tsx` registers in the main thread only, so a thread has to do it itself.
  const tsx = import.meta.resolve('tsx/esm/api');
  const start = `import('${tsx}').then((tsx) => { tsx.register(); return import('${url}'); })`;
  return new Worker(start, { eval: true, workerData });
}

/**
 * Starts threads that run a module which calls {@link answerRequests}.
 * @param metaUrl `import.meta.url` of the caller
 * @param name the module relative to the caller, without extension: `./loader.worker`
 * @param workerData what every thread is told at its start
 * @param options.nameOf what a request is about, for the error when a thread dies of it
 * @param options.queued requests that a thread has at once, so that it goes on while this one is busy; default 1
 */
export function startThreads<Request, Answer>(
  metaUrl: string,
  name: string,
  workerData: unknown,
  count: number,
  {
    nameOf = () => undefined,
    queued = 1,
  }: { readonly nameOf?: (request: Request) => string | undefined; readonly queued?: number } = {},
): Threads<Request, Answer> {
  interface Asked {
    readonly request: Request;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  const waiting: Asked[] = [];
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    for (const { reject } of [...threads.flatMap(({ asked }) => asked.splice(0)), ...waiting.splice(0)])
      reject(ended);
  };
  const dispatch = () => {
    while (waiting.length > 0) {
      const idlest = threads.reduce((a, b) => (b.asked.length < a.asked.length ? b : a));
      if (idlest.asked.length >= queued) return;
      const next = waiting.shift()!;
      idlest.asked.push(next);
      idlest.thread.postMessage(next.request);
    }
  };
  const threads = Array.from({ length: count }, () => {
    const thread = startWorker(metaUrl, name, workerData);
    /** What it has been asked and not answered yet, the first first. */
    const asked: Asked[] = [];
    thread.on('message', (reply: Reply<Answer>) => {
      const first = asked.shift();
      if ('answer' in reply) first?.resolve(reply.answer);
      else first?.reject(new UserError(reply.kind, reply.facts));
      dispatch();
    });
    const died = (got: string, cause?: Error) => {
      const [first] = asked;
      end(threadDied(got, first && nameOf(first.request), cause));
    };
    // Node.js ends threads with errors of its own, as when they need too much memory; others are defects of ours.
    thread.on('error', (error: NodeJS.ErrnoException) =>
      error.code?.startsWith('ERR_WORKER_') ? died(error.message, error) : end(error),
    );
    thread.on('exit', (code) => died(`exit code ${code}`));
    return { thread, asked };
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        waiting.push({ request, resolve, reject });
        dispatch();
      }),
    keepAlive(stay) {
      for (const { thread } of threads) stay ? thread.ref() : thread.unref();
    },
    async close() {
      end(new Error('the threads have been closed'));
      await Promise.all(threads.map(({ thread }) => thread.terminate()));
    },
  };
}

const threadDied = (got: string, where: string | undefined, cause?: Error) =>
  new UserError('data', {
    what: 'a data-loading thread died',
    ...(where !== undefined && { where }),
    got,
    fix: 'free some memory, or use fewer threads (`workers`)',
    cause,
  });

/**
 * In a thread: answers every request.
 * @param transfer buffers of an answer that are handed over instead of copied
 */
export function answerRequests<Request, Answer>(
  work: (request: Request) => Answer | Promise<Answer>,
  transfer: (answer: Answer) => ArrayBuffer[] = () => [],
): void {
  const send = (reply: Reply<Answer>, buffers: ArrayBuffer[] = []) => parentPort!.postMessage(reply, buffers);
  const answered = async (request: Request) => {
    try {
      const answer = await work(request);
      send({ answer }, transfer(answer));
    } catch (error) {
      if (!(error instanceof UserError)) throw error; // ends the thread: see `startThreads`
      const { cause: _, ...facts } = error.facts;
      send({ kind: error.kind, facts });
    }
  };
  let last = Promise.resolve();
  parentPort!.on('message', (request: Request) => {
    last = last.then(() => answered(request));
  });
}
