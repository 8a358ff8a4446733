import { describe, expect, test } from 'vitest';
import type { Attribute } from '../../../graphs/onnx/types.js';
import { asItIs, int, ints, numbers, random, text } from './as-it-is.js';
import { check } from './check.js';

type Attributes = Readonly<Record<string, Attribute>>;
type Sizes = readonly number[];

/** Input, weights, attributes: 1-D to 3-D, with groups, dilation, any stride, one-sided padding, and a rest that no window reaches. */
const CONVOLUTIONS: readonly (readonly [Sizes, Sizes, Attributes])[] = [
  [[2, 4, 9], [6, 2, 3], { group: int(2), strides: ints(2), pads: ints(1, 0) }],
  [[2, 4, 9], [6, 4, 3], { dilations: ints(2), pads: ints(2, 2) }],
  [[1, 3, 7], [4, 3, 2], { strides: ints(3) }],
  [[1, 4, 6, 7], [4, 1, 3, 3], { group: int(4), pads: ints(1, 1, 1, 1) }],
  [[1, 4, 6, 7], [8, 1, 3, 3], { group: int(4), pads: ints(1, 1, 1, 1), strides: ints(2, 2) }],
  [
    [2, 2, 8, 9],
    [4, 1, 3, 2],
    { group: int(2), dilations: ints(2, 3), strides: ints(2, 1), pads: ints(0, 1, 2, 0) },
  ],
  [[1, 3, 11, 11], [2, 3, 9, 9], { pads: ints(4, 4, 4, 4) }],
  [[2, 3, 16, 16], [5, 3, 8, 8], { strides: ints(8, 8) }],
  [[1, 2, 5, 6], [3, 2, 3, 3], { auto_pad: text('SAME_LOWER'), strides: ints(2, 2) }],
  [[1, 4, 4, 5, 6], [2, 2, 3, 1, 2], { group: int(2), dilations: ints(1, 1, 2) }],
  [[1, 2, 6, 6, 6], [3, 2, 2, 2, 2], { strides: ints(2, 2, 2) }],
  // More padding than the kernel reaches.
  [[1, 2, 4, 5], [3, 2, 1, 1], { pads: ints(1, 1, 1, 1) }],
  [[1, 2, 4, 5], [3, 2, 3, 3], { pads: ints(3, 0, 0, 1) }],
];

/** Input, weights, attributes of transposed convolutions. */
const TRANSPOSED: readonly (readonly [Sizes, Sizes, Attributes])[] = [
  [[2, 4, 5], [4, 3, 3], { group: int(2), strides: ints(2), output_padding: ints(1) }],
  [[1, 3, 4, 5], [3, 2, 3, 3], { dilations: ints(2, 1), pads: ints(1, 0, 2, 1) }],
  [[1, 2, 3, 4], [2, 3, 2, 3], { strides: ints(3, 2), output_shape: ints(9, 8) }],
  [[1, 4, 3, 4], [4, 1, 3, 3], { group: int(4), strides: ints(2, 2), auto_pad: text('SAME_UPPER') }],
  [[1, 2, 3, 2, 3], [2, 2, 2, 3, 2], { strides: ints(2, 1, 2), pads: ints(0, 1, 0, 0, 1, 1) }],
];

/** Input and attributes of pools whose windows overlap, leave gaps, or reach beyond the end. */
const POOLS: readonly (readonly [Sizes, Attributes])[] = [
  [[1, 2, 9], { kernel_shape: ints(3), strides: ints(2) }],
  [[1, 2, 9], { kernel_shape: ints(2), strides: ints(3), ceil_mode: int(1) }],
  [[2, 2, 7, 8], { kernel_shape: ints(3, 3), strides: ints(2, 2), pads: ints(1, 1, 1, 1) }],
  [[1, 2, 7, 8], { kernel_shape: ints(3, 3), strides: ints(2, 2), ceil_mode: int(1) }],
  [[1, 2, 6, 6], { kernel_shape: ints(2, 2), strides: ints(2, 2) }],
  [[1, 2, 6, 5], { kernel_shape: ints(3, 2), auto_pad: text('SAME_LOWER'), strides: ints(1, 2) }],
  [[1, 2, 5, 4, 5], { kernel_shape: ints(2, 3, 2), strides: ints(1, 1, 2), pads: ints(1, 1, 0, 0, 1, 1) }],
];

const named = <T extends readonly unknown[]>(rows: readonly T[]) =>
  rows.map(
    (row) => [JSON.stringify(row, (key, value) => (key === 'kind' ? undefined : value)), row] as const,
  );

describe('shapes, values and gradients are right', () => {
  test.each(named(CONVOLUTIONS))('Conv %s', async (_, [x, w, attributes]) => {
    const inputs = [random(x), random(w, 2), random([w[0]!], 3)];
    expect(await check(await asItIs(11, 'Conv', inputs, attributes))).toBeNull();
  });

  test.each(named(TRANSPOSED))('ConvTranspose %s', async (_, [x, w, attributes]) => {
    expect(await check(await asItIs(11, 'ConvTranspose', [random(x), random(w, 2)], attributes))).toBeNull();
  });

  test.each(named(POOLS))('MaxPool %s', async (_, [x, attributes]) => {
    expect(await check(await asItIs(12, 'MaxPool', [random(x)], attributes))).toBeNull();
  });

  test.each(named(POOLS))('AveragePool %s', async (_, [x, attributes]) => {
    for (const count_include_pad of [int(0), int(1)])
      expect(
        await check(await asItIs(19, 'AveragePool', [random(x)], { ...attributes, count_include_pad })),
      ).toBeNull();
  });

  test('pools with dilation', async () => {
    const attributes = { kernel_shape: ints(2, 3), dilations: ints(2, 1), strides: ints(2, 1) };
    for (const operator of ['MaxPool', 'AveragePool'])
      expect(await check(await asItIs(19, operator, [random([1, 2, 7, 6])], attributes))).toBeNull();
  });
});

test('Resize by a scale makes as many voxels as ONNX Runtime, which multiplies in float32', async () => {
  // In double precision, 10 · float32(0.7) is less than 7.
  const inputs = [random([1, 1, 10]), numbers(), numbers(1, 1, 0.7)];
  expect(await check(await asItIs(13, 'Resize', inputs, { mode: text('linear') }))).toBeNull();
});
