import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ImageModel } from '../../src/inference/image-model.js';
import { openImageModel } from '../../src/inference/image-model.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { measureBatch, sharingBatches } from '../../src/serve/worker/batching.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { noise } from '../graphs/run.js';
import { writePretrained } from '../inference/models.js';

const folder = temporaryFolder();
const SHAPE = [1, 8, 16, 16];
const LENGTH = 8 * 16 * 16;

describe('batches that requests share', () => {
  test.each([1, 2, 4])('of %i give every request the results of its own window', async (most) => {
    writePretrained(join(folder, 'encoder.onnx'), 'encoder');
    const model = openImageModel(join(folder, 'encoder.onnx'), nodeEngine, 1);
    const windows = Array.from({ length: 5 }, (_, i) => noise(LENGTH, i, 1000));
    const sizes: number[] = [];
    const shared = sharingBatches(model, most, (size) => sizes.push(size));
    const got = await Promise.all(windows.map((window) => shared.run(window, SHAPE)));
    expect(sizes).toEqual({ 1: [1, 1, 1, 1, 1], 2: [2, 2, 1], 4: [4, 1] }[most]);
    for (const [i, window] of windows.entries()) {
      const { features } = await model.run(window, SHAPE);
      expect(got[i]!.features!.shape).toEqual(features!.shape);
      const [expected, found] = [features!.data as Float32Array, got[i]!.features!.data as Float32Array];
      for (const [k, value] of expected.entries()) expect(found[k]).toBeCloseTo(value, 4);
    }
    await model.release();
  });

  test.each([1, 2])(
    'of %i are of windows of one size, as searches and embeddings have their own',
    async (most) => {
      const shapes: string[] = [];
      const model = {
        run: async (values: Float32Array, shape: readonly number[]) => {
          shapes.push(shape.join());
          const [n] = shape as [number];
          const sums = Array.from({ length: n }, (_, i) =>
            values
              .subarray((i * values.length) / n, ((i + 1) * values.length) / n)
              .reduce((a, b) => a + b, 0),
          );
          return { features: { type: 'float32', shape: [n, 1], data: Float32Array.from(sums) } };
        },
      } as unknown as ImageModel;
      const shared = sharingBatches(model, most, () => {});
      const asked = [2, 3, 2, 3, 2].map((length) =>
        shared.run(new Float32Array(length).fill(1), [1, length]).then(({ features }) => features!.data[0]),
      );
      expect(await Promise.all(asked)).toEqual([2, 3, 2, 3, 2]);
      expect(shapes.sort()).toEqual(most === 1 ? ['1,2', '1,2', '1,2', '1,3', '1,3'] : ['1,2', '2,2', '2,3']);
    },
  );

  test('keep the values of every window, whether they are integers or not', async () => {
    const model = {
      run: async (values: Float32Array | Int16Array, [n]: readonly number[]) => {
        const data = Float32Array.from({ length: n! }, (_, i) => values[(i * values.length) / n!]!);
        return { features: { type: 'float32', shape: [n, 1], data } };
      },
    } as unknown as ImageModel;
    const shared = sharingBatches(model, 2, () => {});
    const first = async (values: Float32Array | Int16Array) =>
      (await shared.run(values, [1, 2])).features!.data[0];
    for (const other of [0.75, 40_000]) {
      const windows = [Int16Array.of(100, 1), Float32Array.of(other, 1)];
      expect(await Promise.all(windows.map(first))).toEqual([100, other]);
      expect(await Promise.all(windows.toReversed().map(first))).toEqual([other, 100]);
    }
  });

  test('tell all their requests of an error, and go on', async () => {
    let calls = 0;
    const model = {
      run: async (values: Float32Array) => {
        if (++calls === 1) throw new Error('once');
        return { features: { type: 'float32', shape: [1, 1], data: values.slice(0, 1) } };
      },
    } as unknown as ImageModel;
    const shared = sharingBatches(model, 2, () => {});
    const ask = () => shared.run(Float32Array.of(7), [1, 1]).then(({ features }) => features!.data[0]);
    const results = await Promise.allSettled([ask(), ask(), ask()]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(await ask()).toBe(7);
  });
});

describe('the size of batches', () => {
  /** What is measured of a model whose batches take a fixed time, and more for each window. */
  const measured = (fixedMs: number, windowMs: number) => {
    let clock = 0;
    const run = async (_: unknown, [windows]: readonly number[]) => {
      clock += fixedMs + windowMs * windows!;
      return {};
    };
    return measureBatch({ run }, SHAPE, () => clock);
  };

  test('is several where a batch costs hardly more than a window, and one where it does not', async () => {
    expect(await measured(5, 0)).toBe(4);
    expect(await measured(5, 5)).toBe(4);
    expect(await measured(0, 5)).toBe(1);
    expect(await measured(0.1, 5)).toBe(1);
  });
});
