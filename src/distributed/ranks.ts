/** Processes that train together. Imports nothing that runs: browsers train too, alone. */

/** All processes that train together, seen from one of them. Each of them calls every function, in the same order. */
export interface Ranks {
  /** Number of this process, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** How many of them run on this host, and how many of those share this one's processors. */
  readonly onHost: number;
  readonly onProcessors: number;
  /** What they are, for people: `2 ranks on 1 host, Open MPI v5.0.11`. */
  readonly description: string;
  /** Adds up over all ranks, in place. All get the same sums, to the bit. */
  sum(values: Float32Array): Promise<void>;
  /** What every rank has, by rank; anything that can be cloned. */
  gather<T>(value: T): Promise<T[]>;
  /** Ends the work together. A process that exits without it ends all others too. */
  close(): void;
}

/** One process by itself. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  onHost: 1,
  onProcessors: 1,
  description: '1 rank',
  sum: async () => {},
  gather: async (value) => [value],
  close: () => {},
};

export const isFirst = ({ rank }: Ranks): boolean => rank === 0;

/** What the first rank works out while the others wait. */
export async function fromFirst<T>(ranks: Ranks, work: () => Promise<T>): Promise<T> {
  const [found] = await ranks.gather(isFirst(ranks) ? await work() : null);
  return found!;
}

/** Whether something is so on any rank. */
export async function onAny(ranks: Ranks, here: boolean): Promise<boolean> {
  const count = Float32Array.of(here ? 1 : 0);
  await ranks.sum(count);
  return count[0]! > 0;
}
