import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Form } from '../../../graphs/forms/form.js';
import { forms } from '../../../graphs/forms/index.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { MeaningName } from '../../../graphs/onnx/ops/index.js';
import type { Value } from '../../../graphs/onnx/types.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { noise, relativeError, runGraph } from '../run.js';

interface Shapes {
  n: number;
  c: number;
  k: number;
  d: number;
  h: number;
  w: number;
}
const KERNEL = { kernel_shape: [3, 3, 3], strides: [1, 1, 1], pads: [1, 1, 1, 1, 1, 1] };

/** Inputs and attributes of one call, for random sizes. */
const CALLS: {
  [K in MeaningName]?: (s: Shapes) => { inputs: number[][]; attributes: object; relu?: boolean };
} = {
  ConvWeightGrad: ({ n, c, k, d, h, w }) => ({
    inputs: [
      [n, c, d, h, w],
      [n, k, d, h, w],
    ],
    attributes: KERNEL,
  }),
  UpsampleConv: ({ n, c, k, d, h, w }) => ({
    inputs: [[n, c, d, h, w], [k, c, 3, 3, 3], [k]],
    attributes: {},
  }),
  UpsampleConvInputGrad: ({ n, c, k, d, h, w }) => ({
    inputs: [
      [n, k, 2 * d, 2 * h, 2 * w],
      [k, c, 3, 3, 3],
    ],
    attributes: {},
  }),
  UpsampleConvWeightGrad: ({ n, c, k, d, h, w }) => ({
    inputs: [
      [n, c, d, h, w],
      [n, k, 2 * d, 2 * h, 2 * w],
    ],
    attributes: {},
  }),
};

const sizes = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.integer({ min: 1, max: 5 }),
  k: fc.integer({ min: 1, max: 5 }),
  d: fc.integer({ min: 1, max: 5 }),
  h: fc.integer({ min: 1, max: 6 }),
  w: fc.integer({ min: 1, max: 6 }),
});

async function run(
  form: Form<MeaningName>,
  { inputs, attributes }: { inputs: number[][]; attributes: object },
): Promise<Float32Array | null> {
  const g = new GraphBuilder('form');
  const values = inputs.map((shape, i): Value => g.input(`x${i}`, 'float32', shape));
  const call = { inputs: values, attributes: attributes as never };
  if (form.applies?.(call) === false) return null;
  g.output('y', form.build(g, call)[0]!);
  const feeds = inputs.map((shape, i): [string, EngineTensor] => [
    `x${i}`,
    {
      type: 'float32',
      shape,
      data: noise(
        shape.reduce((a, b) => a * b, 1),
        3 + i,
      ),
    },
  ]);
  return (await runGraph(g.build(), Object.fromEntries(feeds))).y!.data as Float32Array;
}

describe('every form agrees with the definition, whatever the sizes', () => {
  const candidates = Object.entries(forms).flatMap(([operator, all]) =>
    Object.entries(all)
      .filter(([name]) => name !== 'plain' && operator in CALLS)
      .map(([name, form]) => [operator as MeaningName, name, form as Form<MeaningName>] as const),
  );

  test('there are some', () => expect(candidates.length).toBeGreaterThanOrEqual(5));

  test.each(candidates)('%s: %s', async (operator, _name, form) => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(sizes, async (shapes) => {
        const call = CALLS[operator]!(shapes);
        const got = await run(form, call);
        if (!got) return;
        compared++;
        const expected = await run(forms[operator].plain as Form<MeaningName>, call);
        expect(relativeError(got, expected!)).toBeLessThan(1e-5);
      }),
      { numRuns: 25, seed: 1 },
    );
    expect(compared).toBeGreaterThan(5);
  });
});
