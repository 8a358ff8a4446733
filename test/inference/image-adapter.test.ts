import { expect, test } from 'vitest';
import { adaptedImage } from '../../graphs/objectives/image-adapter.js';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import type { ElementType, Model, Shape } from '../../graphs/onnx/types.js';
import type { SampleFormat } from '../../src/data/samples/manifest.js';
import { adaptedVoxels, imageAdapter, spacingNote } from '../../src/inference/image-adapter.js';
import { runGraph } from '../graphs/run.js';

const modelOf = (shape: Shape, metadata = {}, type: ElementType = 'float32'): Model => ({
  graph: {
    ...{ name: 'g', nodes: [], outputs: [], initializers: new Map(), values: new Map() },
    inputs: [{ name: 'x', type, shape }],
  },
  ...{ irVersion: 8, opsets: { '': 17 }, documentation: '', metadata },
  producer: { name: 'test', version: '1' },
});
const format = (size: readonly [number, number, number], more: Partial<SampleFormat> = {}): SampleFormat => ({
  ...{ task: 'manifest', kind: 'classification', classes: ['a', 'b'], channels: 1, type: 'int16' },
  ...{ size, window: { low: -1000, high: 1000 } },
  ...more,
});
const HU = Int16Array.of(-2000, -1000, 0, 500, 1000, 3000);
const SHARES = [0, 0, 0.5, 0.75, 1, 1];

test.each([
  ['volumes with channels', ['N', 1, 'D', 'H', 'W'], format([3, 2, 1]), [1, 1, 2, 3], SHARES],
  [
    'three channels of one',
    ['N', 3, 'D', 'H', 'W'],
    format([3, 2, 1]),
    [3, 1, 2, 3],
    [...SHARES, ...SHARES, ...SHARES],
  ],
  ['slices', ['N', 1, 'H', 'W'], format([3, 2, 1]), [1, 2, 3], SHARES],
  ['volumes in HU', ['N', 'D', 'H', 'W'], format([3, 1, 2]), [2, 1, 3], [...HU]],
  [
    'grey values of a known range, in thousandths',
    ['N', 'D', 'H', 'W'],
    format([3, 1, 2], { window: { low: -2000, high: 3000 } }),
    [2, 1, 3],
    [0, 200, 400, 500, 600, 1000],
  ],
] as const)('%s, in graphs and outside of them', async (name, shape, samples, expected, values) => {
  const metadata = name.startsWith('grey') ? { normalise: 'minmax' } : {};
  const adapter = imageAdapter('m.onnx', modelOf(shape as Shape, metadata), samples);
  expect(adapter.shape).toEqual(expected);
  const outside = adaptedVoxels(HU, adapter);
  const [x, y, z] = samples.size;
  const g = new GraphBuilder('images');
  const image = g.input('image', 'int16', [1, 1, z, y, x]);
  g.output('x', adaptedImage(g, image, adapter));
  const inside = (await runGraph(g.build(), { image: { type: 'int16', shape: [1, 1, z, y, x], data: HU } }))
    .x!;
  expect(inside.shape).toEqual([1, ...expected]);
  for (const [i, value] of values.entries()) {
    expect(outside[i]).toBeCloseTo(value, 3);
    expect(inside.data[i]).toBeCloseTo(value, 3);
  }
});

test('integers are rounded', () => {
  const adapter = imageAdapter('m.onnx', modelOf(['N', 'D', 'H', 'W'], {}, 'int16'), format([3, 1, 2]));
  expect(adaptedVoxels(Float32Array.of(0.6, -40_000), adapter)).toEqual(Int16Array.of(1, -32768));
});

test.each([
  ['a vector', modelOf(['N', 10]), /does not take images/],
  ['whole numbers', modelOf(['N', 1, 'D', 'H', 'W'], {}, 'uint8'), /does not take images[\s\S]*uint8/],
  ['other channels', modelOf(['N', 1, 'D', 'H', 'W']), /takes one channel[\s\S]*samples with 2/],
  [
    'another normalisation',
    modelOf(['N', 'D', 'H', 'W'], { normalise: 'zscore' }),
    /normalised differently|one channel/,
  ],
])('refuses %s', (_, model, message) => {
  expect(() => imageAdapter('m.onnx', model, format([3, 2, 4], { channels: 2 }))).toThrow(message);
});

test('values are of the range that is asked for', () => {
  const model = modelOf(['N', 1, 'D', 'H', 'W']);
  const samples = format([5, 1, 1], { window: { low: -1000, high: 1000 } });
  const of = (low: number, high: number) => [
    ...adaptedVoxels(
      Float32Array.of(-2000, -1000, 0, 500, 2000),
      imageAdapter('m.onnx', model, samples, [low, high]),
    ),
  ];
  expect(of(-1, 1)).toEqual([-1, -1, 0, 0.5, 1]);
  expect(of(-1000, 1000)).toEqual([-1000, -1000, 0, 500, 1000]);
  expect(() => imageAdapter('m.onnx', model, format([5, 1, 1], { window: null }), [-1, 1])).toThrow(
    /no window whose ends could become others/,
  );
});

test('another spacing is worth a note', () => {
  const model = modelOf(['N', 1, 'D', 'H', 'W'], { spacing: '1x1x2' });
  expect(spacingNote(model, [1, 1, 2])).toBeNull();
  expect(spacingNote(model, [1, 1, 1])).toMatch(/1×1×2 mm, the samples have 1×1×1 mm/);
  expect(spacingNote(modelOf(['N', 1, 'D', 'H', 'W']), [1, 1, 1])).toBeNull();
});
