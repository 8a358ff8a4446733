import { beforeAll, describe, expect, test } from 'vitest';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createStepper } from '../../src/train/create-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import { ranksHere } from './ranks-here.js';

const STEPS = 3;
const MICRO_BATCHES = 6;
const config = resolveConfig({
  preset: 'tiny',
  config: {
    ...{ network: { width: 2, levels: 1 }, whole: [16, 16, 8], batch: 2 * MICRO_BATCHES, microBatch: 2 },
    threads: 1,
  },
});
const workload = proxyWorkload(config, config.whole);
const single = { ...config, batch: 2 };
const batchesOf = (step: number, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => batchFeeds(randomBatch(single, step * MICRO_BATCHES + from + i)));

/** What ranks make of the same steps: state and losses of each. */
async function train(size: number) {
  const own = MICRO_BATCHES / size;
  return Promise.all(
    ranksHere(size).map(async (ranks) => {
      const stepper = await createStepper(workload, config, nodeEngine, { ranks });
      const losses: number[] = [];
      for (let step = 1; step <= STEPS; step++) {
        const batches = batchesOf(step, ranks.rank * own, own);
        const [result] = await stepper.run([batches], config.learningRate, step);
        losses.push(result!.loss, result!.gradientNorm);
      }
      const state = new Map(
        [...(await stepper.readState())].map(([name, { data }]) => [name, data as Float32Array]),
      );
      await stepper.release();
      return { state, losses };
    }),
  );
}

let one: Awaited<ReturnType<typeof train>>[0];
beforeAll(async () => {
  one = (await train(1))[0]!;
});

describe.each([2, 3, 6])('%i ranks', (size) => {
  test('make the steps of one rank with all micro-batches, and have the same state', async () => {
    const [first, ...others] = await train(size);
    for (const other of others) expect(other).toEqual(first);
    for (const [i, loss] of one.losses.entries()) expect(first!.losses[i]).toBeCloseTo(loss, 5);
    expect([...first!.state.keys()]).toEqual([...one.state.keys()]);
    expect([...one.state.keys()].filter((name) => name.endsWith('running_var')).length).toBeGreaterThan(3);
    const differences = [...one.state].map(([name, values]) =>
      Math.max(...values.map((value, i) => Math.abs(value - first!.state.get(name)![i]!))),
    );
    expect(Math.max(...differences)).toBeLessThan(1e-5);
    // They did train: the running statistics are not those of a fresh network.
    expect(one.state.get('encoder.0.norm1.running_mean')).not.toEqual(new Float32Array(2));
  });
});
