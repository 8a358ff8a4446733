/** Gives batches in the order of their index. */
export interface Loader<Batch> {
  /** @throws UserError of kind `data` when data have changed or a thread has died */
  next(): Promise<Batch>;
  /** Time since the first `next`, and how much of it was spent waiting for data. */
  waited(): { waitSeconds: number; totalSeconds: number };
  /** Ends the threads; batches that were not taken are lost. */
  close(): Promise<void>;
}

export interface ReadAhead<Batch> {
  /** Loads a batch; several are asked for at once. */
  load(index: number): Promise<Batch>;
  /** Batches that are asked for before they are needed, at most; it may change from batch to batch. */
  ahead(): number;
  /** Index of the batch to begin with: 0, or where an interrupted run goes on. */
  readonly firstBatch: number;
  /** Called at the end. */
  close(): Promise<void>;
}

/** An endless sequence of batches, some of them loaded before they are needed. */
export function readAhead<Batch>({ load, ahead, firstBatch, close }: ReadAhead<Batch>): Loader<Batch> {
  const outstanding: Promise<Batch>[] = [];
  let index = firstBatch;
  const request = (count: number) => {
    while (outstanding.length < count) {
      const batch = load(index++);
      batch.catch(() => {}); // it is reported when it is its turn
      outstanding.push(batch);
    }
  };
  request(ahead());

  let firstAsked: number | undefined;
  let waitSeconds = 0;
  const seconds = () => performance.now() / 1000;
  return {
    async next() {
      const asked = seconds();
      firstAsked ??= asked;
      request(Math.max(1, ahead()));
      try {
        return await outstanding.shift()!;
      } finally {
        waitSeconds += seconds() - asked;
      }
    },
    waited: () => ({ waitSeconds, totalSeconds: firstAsked === undefined ? 0 : seconds() - firstAsked }),
    close,
  };
}
