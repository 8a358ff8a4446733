import { expect, test } from 'vitest';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import type { State } from '../../src/runs/state.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createStepper } from '../../src/train/create-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import type { Stepper } from '../../src/train/stepper.js';

const STEPS = 3;
const configOf = (batch: number) =>
  resolveConfig({
    preset: 'tiny',
    config: { network: { width: 2, levels: 2 }, whole: [16, 16, 8], batch, microBatch: 2, threads: 1 },
  });
const together = configOf(4);
const alone = configOf(2);
const workload = proxyWorkload(together, together.whole);
/** Two micro-batches of a step. */
const batchesOf = (step: number) => [0, 1].map((i) => batchFeeds(randomBatch(alone, 2 * step + i)));
const valuesOf = async (stepper: Stepper) =>
  [...(await stepper.readState())].filter(([name]) => !name.includes('running_'));

test('processes that share their gradients train as one with all their micro-batches', async () => {
  const one = await createStepper(workload, together, nodeEngine);
  for (let step = 1; step <= STEPS; step++) await one.run([batchesOf(step)], together.learningRate, step);

  // What one process has found waits for the other's.
  let waiting: { readonly gradients: State; readonly resume: () => void } | null = null;
  const reduce = (gradients: State): Promise<void> =>
    new Promise((resume) => {
      if (!waiting) {
        waiting = { gradients, resume };
        return;
      }
      for (const [name, { data }] of gradients) {
        const other = waiting.gradients.get(name)!.data as Float32Array;
        const own = data as Float32Array;
        for (let i = 0; i < own.length; i++) own[i] = other[i] = (own[i]! + other[i]!) / 2;
      }
      waiting.resume();
      waiting = null;
      resume();
    });
  const ranks = [
    await createStepper(workload, alone, nodeEngine, { reduce }),
    await createStepper(workload, alone, nodeEngine, { reduce }),
  ];
  for (let step = 1; step <= STEPS; step++)
    await Promise.all(ranks.map((rank, i) => rank.run([[batchesOf(step)[i]!]], alone.learningRate, step)));

  const expected = await valuesOf(one);
  expect(expected.length).toBeGreaterThan(20);
  for (const rank of ranks) {
    const found = new Map(await valuesOf(rank));
    for (const [name, { data }] of expected) expect(found.get(name)!.data, name).toEqual(data);
  }
  await Promise.all([one, ...ranks].map((stepper) => stepper.release()));
});
