import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { checkAgreement } from '../../src/distributed/agreement.js';
import { alone } from '../../src/distributed/ranks.js';
import { checkSameState } from '../../src/train/agreement.js';
import { floatTensor } from '../../src/train/fresh-state.js';
import {
  microBatchAt,
  ownMicroBatches,
  sharedMicroBatch,
  withinMicroBatches,
  withOwnThreads,
} from '../../src/train/shares.js';
import { ranksHere } from './ranks-here.js';

const of = (rank: number, size: number) => ({ ...alone, rank, size });
const configOf = (batch: number, microBatch: number | null) =>
  resolveConfig({ preset: 'tiny', config: { batch, microBatch } });

describe('micro-batches', () => {
  test('are one a rank unless they are configured', () => {
    expect(sharedMicroBatch(configOf(16, null), of(0, 4))).toBe(4);
    expect(sharedMicroBatch(configOf(16, 2), of(0, 4))).toBe(2);
    expect(sharedMicroBatch(configOf(16, null), alone)).toBeNull();
    expect(() => sharedMicroBatch(configOf(16, null), of(0, 3))).toThrow(/16, for 3 ranks[\s\S]*batch=18/);
  });

  test('are divided equally, or refused with the numbers of ranks that do', () => {
    expect(ownMicroBatches(configOf(16, 2), of(0, 4))).toBe(2);
    expect(() => ownMicroBatches(configOf(12, 2), of(0, 4))).toThrow(
      /6 of 2 samples each, for 4 ranks\n {2}expected: 1, 2, 3, 6 ranks/,
    );
  });

  test.each([1, 2, 3, 6])('of %i ranks are together those of each step, each once', (size) => {
    const config = configOf(12, 2);
    const own = 6 / size;
    const steps = [0, 1, 2].map((step) =>
      Array.from({ length: size }, (_, rank) =>
        Array.from({ length: own }, (_, i) => microBatchAt(config, of(rank, size), 5, false)(step * own + i)),
      ).flat(),
    );
    expect(steps).toEqual([30, 36, 42].map((first) => [0, 1, 2, 3, 4, 5].map((i) => first + i)));
  });
});

describe('micro-batches that are normalised together', () => {
  test('are shared by all ranks, sample after sample', () => {
    const config = withinMicroBatches(configOf(12, 6), of(0, 3));
    expect(config).toMatchObject({ batch: 12, microBatch: 2 });
    const samplesOf = (rank: number) =>
      [0, 1].map((i) => 2 * microBatchAt(config, of(rank, 3), 5, true)(i)).map((first) => [first, first + 1]);
    // Step 5 begins with sample 60; each of its two micro-batches has six samples.
    expect([0, 1, 2].flatMap((rank) => samplesOf(rank)[0])).toEqual([60, 61, 62, 63, 64, 65]);
    expect([0, 1, 2].flatMap((rank) => samplesOf(rank)[1])).toEqual([66, 67, 68, 69, 70, 71]);
  });

  test('are refused where they cannot be divided', () => {
    expect(() => withinMicroBatches(configOf(16, null), of(0, 3))).toThrow(
      /batch: samples.*\n.*16, for 3 ranks/,
    );
  });
});

test('ranks that share processors share the threads, unless their number is configured', () => {
  const config = configOf(16, null);
  const cores = availableParallelism();
  expect(withOwnThreads(config, { ...of(0, 4), onProcessors: 4 }).threads).toBe(
    Math.max(1, Math.floor(cores / 4)),
  );
  expect(withOwnThreads(config, { ...of(0, 4), onProcessors: 1 }).threads).toBe(cores);
  expect(withOwnThreads({ ...config, threads: 3 }, { ...of(0, 4), onProcessors: 4 }).threads).toBe(3);
  expect(withOwnThreads(config, alone).threads).toBe(0);
});

/** How an action ends on each rank. */
const ends = (size: number, action: (rank: number) => object, check: typeof checkAgreement) =>
  Promise.allSettled(
    ranksHere(size).map((ranks) => check(ranks, action(ranks.rank) as Record<string, unknown>)),
  );

describe('ranks agree', () => {
  test('on everything, or all of them are told what differs', async () => {
    expect(await ends(3, () => ({ version: '1.0.0', batch: 4 }), checkAgreement)).toMatchObject(
      new Array(3).fill({ status: 'fulfilled' }),
    );
    const told = await ends(
      3,
      (rank) => ({ version: rank === 2 ? '1.1.0' : '1.0.0', batch: 4, ...(rank > 0 && { extra: true }) }),
      checkAgreement,
    );
    for (const { reason } of told as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ name: 'UserError', kind: 'config' });
      expect(reason.message).toContain('version: "1.0.0" on rank 0, "1.1.0" on rank 2');
      expect(reason.message).toContain('extra: nothing on rank 0, true on rank 1');
      expect(reason.message).not.toContain('batch');
    }
  });

  test('on the state, to the last bit', async () => {
    const states = (last: number) =>
      Promise.allSettled(
        ranksHere(2).map((ranks) =>
          checkSameState(
            ranks,
            new Map([['weight', floatTensor([2], Float32Array.of(1, ranks.rank === 1 ? last : 2))]]),
            7,
          ),
        ),
      );
    expect(await states(2)).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
    const [told] = (await states(2 + 2 ** -22)) as PromiseRejectedResult[];
    expect(told!.reason.message).toMatch(/step 7: the ranks have drifted apart[\s\S]*rank 1/);
  });
});
