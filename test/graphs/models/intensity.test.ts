import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { parts2whole } from '../../../graphs/proxies/parts2whole.js';
import { partMatrices, samplePart } from '../../../src/data/proxies/parts2whole/parts.js';
import { randomStream } from '../../../src/random.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { runGraph } from '../run.js';

const SIZE = [8, 4, 4] as const;
const voxels = 8 * 4 * 4;

/** Two random parts, their intensities changed, or as they are. */
async function parts(changes: readonly number[] | null): Promise<Float32Array> {
  const g = new GraphBuilder('parts');
  const shape = [4, 4, 8] as const;
  const options = { batch: 2, tile: shape, whole: shape, window: { low: -1000, high: 1000 } };
  g.output('part', parts2whole(g, { ...options, intensity: changes !== null }).part);
  const random = randomStream(1, 'intensity');
  const hu = Int16Array.from({ length: 2 * voxels }, () => random.between(-1200, 1200));
  const boxes = [0, 1].map(() =>
    partMatrices(
      samplePart(random, SIZE, { scale: [0.2, 0.8], ratio: [1, 1], isotropic: false }),
      SIZE,
      SIZE,
    ),
  );
  const both = (axis: 'depth' | 'height' | 'width', rows: number, columns: number): EngineTensor => ({
    type: 'float32',
    shape: [2, rows, columns],
    data: Float32Array.of(...boxes[0]![axis], ...boxes[1]![axis]),
  });
  const feeds: Record<string, EngineTensor> = {
    part_box: { type: 'int16', shape: [2, ...shape], data: hu },
    part_depth: both('depth', 4, 4),
    part_height: both('height', 4, 4),
    part_width: both('width', 8, 8),
    ...(changes && {
      part_intensity: { type: 'float32', shape: [2, 3], data: Float32Array.from(changes) },
    }),
  };
  const tile: EngineTensor = { type: 'int16', shape: [2, ...shape], data: hu };
  return (await runGraph(g.build(), { tile, ...feeds })).part!.data as Float32Array;
}

test('intensities of each part become clip(gain · x^gamma + shift, 0, 1)', async () => {
  const plain = await parts(null);
  expect(await parts([1, 1, 0, 1, 1, 0])).toEqual(plain);
  const changed = await parts([1.3, 0.8, 0.2, 0.6, 1.2, -0.1]);
  plain.forEach((x, i) => {
    const [gamma, gain, shift] = i < voxels ? [1.3, 0.8, 0.2] : [0.6, 1.2, -0.1];
    expect(changed[i]).toBeCloseTo(Math.min(1, Math.max(0, gain! * x ** gamma! + shift!)), 5);
  });
});
