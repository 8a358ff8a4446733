import { beforeAll, describe, expect, test } from 'vitest';
import { importModel } from '../../graphs/imported/import-model.js';
import { importedObjective } from '../../graphs/objectives/imported.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import type { Workload } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createStepper } from '../../src/train/create-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import { filled, modelOf, node, value, weight } from '../graphs/imported/models.js';
import { noise } from '../graphs/run.js';
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

/** A network that was made elsewhere, whose two normalisations have momenta of their own. */
const float = (of: number) => ({ kind: 'float', value: of }) as const;
const filledWith = (of: number) => filled([3], of);
const imported = modelOf({
  inputs: [value('x', [2, 3, 4])],
  outputs: ['y'],
  nodes: [
    node('BatchNormalization', ['x', 'scale', 'bias', 'mean', 'var'], ['a'], { momentum: float(0.9) }),
    node('Conv', ['a', 'kernel'], ['b']),
    node('BatchNormalization', ['b', 'scale2', 'bias2', 'mean2', 'var2'], ['y'], { momentum: float(0.5) }),
  ],
  tensors: {
    ...{ scale: filledWith(1), bias: filledWith(0), mean: filledWith(0.1), var: filledWith(1) },
    ...{ scale2: filledWith(0.9), bias2: filledWith(0.2), mean2: filledWith(0.3), var2: filledWith(1.2) },
    kernel: weight([3, 3, 1], 7),
  },
});
const importedWorkload: Workload = () =>
  importedObjective(importModel(imported), { loss: { name: 'meanSquaredError' } });
const importedBatches: typeof batchesOf = (step, from, count) =>
  Array.from({ length: count }, (_, i) => {
    const of = (seed: number) =>
      ({
        type: 'float32',
        shape: [2, 3, 4],
        data: noise(24, 100 * seed + step * MICRO_BATCHES + from + i),
      }) as const;
    const weights = { type: 'float32', shape: [2], data: Float32Array.of(1, 1) } as const;
    return { x: of(1), target: of(2), sample_weight: weights };
  });

/** What ranks make of the same steps: state and losses of each. */
async function train(size: number, trained = workload, batches = batchesOf) {
  const own = MICRO_BATCHES / size;
  return Promise.all(
    ranksHere(size).map(async (ranks) => {
      const stepper = await createStepper(trained, config, nodeEngine, { ranks });
      const losses: number[] = [];
      for (let step = 1; step <= STEPS; step++) {
        const fed = batches(step, ranks.rank * own, own);
        const [result] = await stepper.run([fed], config.learningRate, step);
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

test('the loss of a step is the mean of those of its micro-batches', async () => {
  const lossOf = async (from: number, count: number) => {
    const stepper = await createStepper(workload, { ...config, batch: count * 2 }, nodeEngine, {});
    const [result] = await stepper.run([batchesOf(1, from, count)], config.learningRate, 1);
    await stepper.release();
    return result!.loss;
  };
  const each = await Promise.all(Array.from({ length: MICRO_BATCHES }, (_, i) => lossOf(i, 1)));
  expect(one.losses[0]).toBeCloseTo(each.reduce((sum, loss) => sum + loss, 0) / MICRO_BATCHES, 5);
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

test('each normalisation of a network that was made elsewhere keeps what its own momentum says', async () => {
  const [[alone], [shared]] = (await Promise.all(
    [1, 3].map((size) => train(size, importedWorkload, importedBatches)),
  )) as [Awaited<ReturnType<typeof train>>, Awaited<ReturnType<typeof train>>];
  for (const name of ['mean', 'var', 'mean2', 'var2']) {
    const [expected, found] = [alone!.state.get(name)!, shared!.state.get(name)!];
    for (const [i, v] of expected.entries()) expect(found[i], name).toBeCloseTo(v, 5);
    expect([...expected], name).not.toEqual([
      ...importModel(imported).parameters.find((p) => p.name === name)!.values,
    ]);
  }
});
