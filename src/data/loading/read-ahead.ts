/** Gives batches in the order of their index. */
export interface Loader<Batch> {
  /** @throws UserError of kind `data` when data have changed or a thread has died */
  next(): Promise<Batch>;
  /** How long `next` has been waited for so far. */
  waitSeconds(): number;
  /** Ends the threads; batches that were not taken are lost. */
  close(): Promise<void>;
}

export interface ReadAhead<Batch> {
  /** Loads a batch; several are asked for at once. */
  load(index: number): Promise<Batch>;
  /** Batches that are asked for before they are needed, at most; it may change from batch to batch. */
  ahead(): number;
  /** Which batch comes i-th, from 0: an interrupted run goes on in the middle, and ranks share the batches. */
  readonly batchAt: (i: number) => number;
  /** Called at the end. */
  close(): Promise<void>;
}

/** An endless sequence of batches, some of them loaded before they are needed. */
export function readAhead<Batch>({ load, ahead, batchAt, close }: ReadAhead<Batch>): Loader<Batch> {
  const outstanding: Promise<Batch>[] = [];
  let requested = 0;
  const request = (count: number) => {
    while (outstanding.length < count) {
      const batch = load(batchAt(requested++));
      batch.catch(() => {}); // it is reported when it is its turn
      outstanding.push(batch);
    }
  };
  request(ahead());

  let waitSeconds = 0;
  const seconds = () => performance.now() / 1000;
  return {
    async next() {
      const asked = seconds();
      request(Math.max(1, ahead()));
      try {
        return await outstanding.shift()!;
      } finally {
        waitSeconds += seconds() - asked;
      }
    },
    waitSeconds: () => waitSeconds,
    close,
  };
}
