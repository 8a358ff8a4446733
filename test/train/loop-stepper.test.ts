import { describe, expect, test } from 'vitest';
import { importModel } from '../../graphs/imported/import-model.js';
import { importedObjective } from '../../graphs/objectives/imported.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { TRAINING_DEFAULTS } from '../../src/config/training.js';
import { countedEngine } from '../../src/runtime/counted-engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createHostStepper } from '../../src/train/host-stepper.js';
import { createLoopStepper } from '../../src/train/loop-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import { filled, modelOf, node, value, weight } from '../graphs/imported/models.js';
import { noise, relativeError } from '../graphs/run.js';

const STEPS = 3;
const RATE = 0.01;
const configOf = (changes: object) =>
  resolveConfig({
    preset: 'tiny',
    config: { whole: [16, 16, 8], batch: 2, threads: 1, network: { width: 3, levels: 2 }, ...changes },
  });

describe('many steps in a run', () => {
  test.each([
    ['adam', { optimizer: { name: 'adam' } }],
    ['adamw with decay', { optimizer: { name: 'adamw', weightDecay: 0.1 } }],
    [
      'clipped sgd with momentum, wider',
      { optimizer: { name: 'sgd' }, clipNorm: 0.01, network: { width: 16, levels: 2 } },
    ],
  ])('are single steps: %s', async (_name, changes) => {
    const config = configOf(changes);
    const workload = proxyWorkload(config, config.whole);
    const batches = Array.from({ length: STEPS }, (_, step) => [batchFeeds(randomBatch(config, step))]);

    const host = await createHostStepper(workload, config, nodeEngine);
    const expected = await host.run(batches, RATE, 1);
    const state = await host.readState();

    const device = await createLoopStepper(workload, config, nodeEngine);
    const found = [
      ...(await device.run(batches.slice(0, 1), RATE, 1)),
      ...(await device.run(batches.slice(1), RATE, 2)),
    ];
    const packed = await device.readState();

    expect(
      relativeError(
        found.map((r) => r.loss),
        expected.map((r) => r.loss),
      ),
    ).toBeLessThan(1e-6);
    // Squares are summed in another order.
    expect(
      relativeError(
        found.map((r) => r.gradientNorm),
        expected.map((r) => r.gradientNorm),
      ),
    ).toBeLessThan(1e-4);
    // In the order in which a checkpoint lists them.
    expect([...packed.keys()]).toEqual([...state.keys()]);
    for (const [name, { shape, data }] of state) {
      expect(packed.get(name)!.shape, name).toEqual(shape);
      expect(relativeError(packed.get(name)!.data as Float32Array, data as Float32Array), name).toBeLessThan(
        1e-3,
      );
    }
    await Promise.all([host.release(), device.release()]);
  });

  test('move running statistics at their own rates, and leave alone what is frozen', async () => {
    const statistics = (name: string) => ({
      [`${name}.mean`]: filled([2], 0.5),
      [`${name}.var`]: filled([2], 2),
    });
    const normalise = (name: string, x: string, y: string, momentum: number) =>
      node('BatchNormalization', [x, `${name}.scale`, `${name}.bias`, `${name}.mean`, `${name}.var`], [y], {
        momentum: { kind: 'float', value: momentum },
      });
    const model = importModel(
      modelOf({
        inputs: [value('x', [2, 2, 3, 3])],
        outputs: ['y'],
        nodes: [
          normalise('slow', 'x', 'a', 0.9),
          node('Conv', ['a', 'w'], ['b']),
          normalise('quick', 'b', 'c', 0.5),
          node('Conv', ['c', 'v'], ['y']),
        ],
        tensors: {
          ...{ w: weight([2, 2, 1, 1], 1), v: weight([2, 2, 1, 1], 2) },
          ...{ 'slow.scale': weight([2], 3), 'slow.bias': weight([2], 4), ...statistics('slow') },
          ...{ 'quick.scale': weight([2], 5), 'quick.bias': weight([2], 6), ...statistics('quick') },
        },
      }),
      { freeze: (name) => name === 'v' },
    );
    const workload = () => importedObjective(model, { loss: { name: 'meanSquaredError' } });
    const config = { ...TRAINING_DEFAULTS, batch: 2, microBatch: 2, threads: 1 };
    const floats = (shape: readonly number[], data: Float32Array) =>
      ({ type: 'float32', shape, data }) as const;
    const batches = [1, 2, 3].map((seed) => [
      {
        x: floats([2, 2, 3, 3], noise(36, seed)),
        target: floats([2, 2, 3, 3], noise(36, seed + 10)),
        sample_weight: floats([2], Float32Array.of(1, 1)),
      },
    ]);
    const states = [];
    for (const create of [createHostStepper, createLoopStepper]) {
      const stepper = await create(workload, config, nodeEngine);
      await stepper.run(batches, RATE, 1);
      states.push(
        new Map(
          [...(await stepper.readState())].map(([name, { data }]) => [name, [...(data as Float32Array)]]),
        ),
      );
      await stepper.release();
    }
    const [single, packed] = states as [Map<string, number[]>, Map<string, number[]>];
    expect([...packed.keys()]).toEqual([...single.keys()]);
    for (const [name, values] of single)
      expect(relativeError(packed.get(name)!, values), name).toBeLessThan(1e-5);
    expect(packed.get('v')).toEqual([...weight([2, 2, 1, 1], 2).data]);
    expect(packed.get('quick.mean')).not.toEqual([0.5, 0.5]);
  });

  test('go on where a state was read', async () => {
    const config = configOf({});
    const workload = proxyWorkload(config, config.whole);
    const batches = Array.from({ length: 4 }, (_, step) => [batchFeeds(randomBatch(config, step))]);
    const whole = await createLoopStepper(workload, config, nodeEngine);
    await whole.run(batches.slice(0, 2), RATE, 1);
    const start = new Map(
      [...(await whole.readState())].map(([name, t]) => [
        name,
        { ...t, data: (t.data as Float32Array).slice() },
      ]),
    );
    const resumed = await createLoopStepper(workload, config, nodeEngine, start);
    const [expected, found] = [
      await whole.run(batches.slice(2), RATE, 3),
      await resumed.run(batches.slice(2), RATE, 3),
    ];
    expect(found).toEqual(expected);
    expect(await resumed.readState()).toEqual(await whole.readState());
    await Promise.all([whole.release(), resumed.release()]);
  });

  test('are made one by one until a step has been timed, then several', async () => {
    const config = configOf({});
    const stepper = await createLoopStepper(proxyWorkload(config, config.whole), config, nodeEngine);
    const batch = [batchFeeds(randomBatch(config, 0))];
    expect(stepper.stepsAtOnce).toBe(1);
    await stepper.run([batch], RATE, 1);
    expect(stepper.stepsAtOnce).toBe(1);
    await stepper.run([batch], RATE, 2);
    expect(stepper.stepsAtOnce).toBeGreaterThan(1);
    await stepper.release();
  });

  test('copy the state to the device and back once', async () => {
    const config = configOf({});
    const workload = proxyWorkload(config, config.whole);
    const { engine, bytes } = countedEngine(nodeEngine);
    const [batch] = [batchFeeds(randomBatch(config, 0))];
    const stepper = await createLoopStepper(workload, config, engine);
    const bytesOf = (tensors: Iterable<{ readonly data: { readonly byteLength: number } }>) =>
      [...tensors].reduce((sum, { data }) => sum + data.byteLength, 0);
    const state = bytesOf((await stepper.readState()).values());
    const before = bytes();
    await stepper.run(new Array(5).fill([batch]), RATE, 1);
    // Number of steps; learning rate and number of each, and its loss and gradient norm.
    expect(bytes() - before).toBe(2 * state + 5 * bytesOf(Object.values(batch)) + 8 + 5 * 4 * 4);
    await stepper.release();
  });
});
