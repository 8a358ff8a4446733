import { expect, test } from 'vitest';
import type { ModelScan } from '../../src/inference/model-scan.js';
import { windowVectors } from '../../src/inference/window-vectors.js';
import { noiseVolume } from '../data/store/tiles-sample.js';

const volume = noiseVolume([12, 4, 4], 1);
const scan: Pick<ModelScan, 'volume' | 'grid' | 'read'> = {
  volume,
  grid: { size: [12, 4, 4], first: [0, 0, 0], step: [1, 1, 1] },
  read: ({ size }) => new Int16Array(size[0] * size[1] * size[2]),
};
const windows = { window: [4, 4, 4], overlap: 0, batch: 2 } as const;

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a feature of %d is refused, naming the model and the output',
  async (wrong) => {
    let runs = 0;
    const model = {
      ...{ path: 'encoder.onnx', channels: 1 },
      run: async (_: unknown, shape: readonly number[]) => {
        const data = new Float32Array(3 * shape[0]!);
        // Of three windows, in batches of two, the second, or what fills up the last batch.
        data[4] = wrong;
        runs++;
        return { features: { type: 'float32' as const, shape: [shape[0]!, 3], data } };
      },
    };
    await expect(windowVectors(model, scan, windows, 'features')).rejects.toMatchObject({
      kind: 'input',
      facts: { where: 'encoder.onnx', got: `${wrong} in the output "features"` },
    });
    expect(runs).toBe(1);
  },
);
