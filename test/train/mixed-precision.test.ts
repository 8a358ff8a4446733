import { describe, expect, test } from 'vitest';
import { LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import type { State } from '../../src/runs/state.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createHostStepper } from '../../src/train/host-stepper.js';
import { createLoopStepper } from '../../src/train/loop-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';

const RATE = 1e-3;
const configOf = (precision: Config['precision'], changes: object = {}) =>
  resolveConfig({
    preset: 'tiny',
    config: {
      whole: [16, 16, 8],
      batch: 4,
      threads: 1,
      network: { width: 4, levels: 1 },
      precision,
      ...changes,
    },
  });
const mixed = configOf('amp');
const workload = proxyWorkload(mixed, mixed.whole);
/** Steps on four batches in turns. */
const stepsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => [batchFeeds(randomBatch(mixed, (from + i) % 4))]);
const copied = (state: State): State =>
  new Map([...state].map(([name, t]) => [name, { ...t, data: (t.data as Float32Array).slice() }]));
const scaledBy = (state: State, ...scaling: readonly number[]): State =>
  new Map([
    ...copied(state),
    [LOSS_SCALING, { type: 'float32', shape: [3], data: Float32Array.from(scaling) }],
  ]);

async function stateAtFirst(): Promise<State> {
  const stepper = await createHostStepper(workload, mixed, nodeEngine);
  const state = copied(await stepper.readState());
  await stepper.release();
  return state;
}

test('follows float32 for 50 steps, one by one and in one run', async () => {
  const full = await createHostStepper(workload, configOf('fp32'), nodeEngine);
  const host = await createHostStepper(workload, mixed, nodeEngine);
  // In the forms for GPUs.
  const device = await createLoopStepper(workload, mixed, { ...nodeEngine, provider: 'cuda:0' });
  const expected = await full.run(stepsOf(50), RATE, 1);
  const found = await host.run(stepsOf(50), RATE, 1);
  for (const [i, { loss, gradientNorm, lossScale }] of found.entries()) {
    expect(Math.abs(loss / expected[i]!.loss - 1), `step ${i + 1}`).toBeLessThan(0.02);
    expect(Number.isFinite(gradientNorm)).toBe(true);
    expect(lossScale).toBe(2 ** 16);
  }
  expect(found.at(-1)!.loss).toBeLessThan(0.8 * found[0]!.loss);
  // Another order of sums, in half the digits.
  const inOneRun = await device.run(stepsOf(50), RATE, 1);
  for (const [i, { loss }] of inOneRun.entries())
    expect(Math.abs(loss / found[i]!.loss - 1), `step ${i + 1}`).toBeLessThan(0.02);
  await Promise.all([full, host, device].map((stepper) => stepper.release()));
});

describe('a step whose gradients overflow', () => {
  test.each([
    ['at once', {}],
    ['in micro-batches', { microBatch: 4, batch: 8 }],
  ])('changes only the scale, and is not counted: %s', async (_name, changes) => {
    const config = configOf('amp', changes);
    const start = await stateAtFirst();
    const count = config.batch / (config.microBatch ?? config.batch);
    const feeds = stepsOf(4).map(([batch]) => new Array(count).fill(batch));

    const stepper = await createHostStepper(workload, config, nodeEngine, {
      start: scaledBy(start, 2 ** 30, 7, 0),
    });
    const [skipped] = await stepper.run(feeds.slice(0, 1), RATE, 1);
    expect(skipped!.lossScale).toBe(2 ** 30);
    expect(Number.isFinite(skipped!.gradientNorm)).toBe(false);
    const after = copied(await stepper.readState());
    expect([...(after.get(LOSS_SCALING)!.data as Float32Array)]).toEqual([2 ** 29, 0, 1]);
    for (const [name, { data }] of start)
      if (name !== LOSS_SCALING && !name.includes('running_'))
        expect(after.get(name)!.data, name).toEqual(data);
    await stepper.release();

    // As the first step of a training that begins here.
    const [again, fresh] = await Promise.all([
      createHostStepper(workload, config, nodeEngine, { start: scaledBy(after, 2 ** 10, 0, 1) }),
      createHostStepper(workload, config, nodeEngine, { start: scaledBy(after, 2 ** 10, 0, 0) }),
    ]);
    expect(await again.run(feeds.slice(1), RATE, 2)).toEqual(await fresh.run(feeds.slice(1), RATE, 1));
    const [first, second] = [await again.readState(), await fresh.readState()];
    for (const [name, { data }] of first)
      if (name !== LOSS_SCALING) expect(data, name).toEqual(second.get(name)!.data);
    await Promise.all([again.release(), fresh.release()]);
  });

  test('after many good ones the scale is doubled', async () => {
    const start = scaledBy(await stateAtFirst(), 2 ** 8, 1998, 3);
    const stepper = await createHostStepper(workload, mixed, nodeEngine, { start });
    const results = await stepper.run(stepsOf(3), RATE, 2002);
    expect(results.map(({ lossScale }) => lossScale)).toEqual([2 ** 8, 2 ** 8, 2 ** 9]);
    expect([...((await stepper.readState()).get(LOSS_SCALING)!.data as Float32Array)]).toEqual([
      2 ** 9,
      1,
      3,
    ]);
    await stepper.release();
  });
});
