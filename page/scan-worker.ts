/** The worker, as functions. */
import type { Calls, Question, Reply } from './messages.js';

type OnWindows = (done: number, total: number) => void;

export interface ScanWorker {
  /** @throws Error with what is wrong */
  call<Name extends keyof Calls>(
    name: Name,
    ask: Calls[Name]['ask'],
    onWindows?: OnWindows,
  ): Promise<Calls[Name]['answer']>;
  /** Ends it, with all that it is at: questions get no answer. */
  end(): void;
}

export function startScanWorker(): ScanWorker {
  const worker = new Worker('/assets/scan.worker.js', { type: 'module' });
  interface Asked {
    resolve(answer: unknown): void;
    reject(error: Error): void;
    onWindows: OnWindows;
  }
  const asked = new Map<number, Asked>();
  let next = 0;
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    const one = asked.get(data.id);
    if ('total' in data) return one?.onWindows(data.done, data.total);
    asked.delete(data.id);
    if ('answer' in data) one?.resolve(data.answer);
    else one?.reject(new Error(data.problem));
  };
  let lost: Error | undefined;
  worker.onerror = ({ message }: Partial<ErrorEvent>) => {
    // Only what runs has a message.
    if (message === undefined) lost = new Error('the worker could not be loaded: is the server still there?');
    for (const { reject } of asked.values()) reject(lost ?? new Error(message));
    asked.clear();
  };
  return {
    call: (name, ask, onWindows = () => {}) =>
      new Promise((resolve, reject) => {
        if (lost) throw lost;
        const id = next++;
        asked.set(id, { resolve: resolve as Asked['resolve'], reject, onWindows });
        worker.postMessage({ id, name, ask } as Question);
      }),
    end: () => worker.terminate(),
  };
}
