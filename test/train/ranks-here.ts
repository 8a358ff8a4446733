import { alone, type Ranks } from '../../src/distributed/ranks.js';

/** Several ranks in one process: each call waits until all ranks have made it. */
export function ranksHere(size: number): Ranks[] {
  let given = new Map<number, { value: unknown; resume: (all: unknown[]) => void }>();
  const exchange = (rank: number, value: unknown) =>
    new Promise<unknown[]>((resume) => {
      given.set(rank, { value, resume });
      if (given.size < size) return;
      const arrived = given;
      given = new Map();
      const all = Array.from({ length: size }, (_, i) => arrived.get(i)!.value);
      for (const waiting of arrived.values()) waiting.resume(all);
    });
  return Array.from({ length: size }, (_, rank) => ({
    ...alone,
    ...{ rank, size, onHost: size, onProcessors: size, description: `${size} ranks here` },
    gather: async <T>(value: T) => structuredClone(await exchange(rank, value)) as T[],
    async sum(values: Float32Array) {
      const all = (await exchange(rank, values.slice())) as Float32Array[];
      for (let i = 0; i < values.length; i++)
        values[i] = all.reduce((sum, { [i]: value }) => sum + value!, 0);
    },
  }));
}
