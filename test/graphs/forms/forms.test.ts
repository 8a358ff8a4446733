import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Call, Form } from '../../../graphs/forms/form.js';
import {
  type ChooseForm,
  type FormedName,
  fastForms,
  forms,
  plainForms,
} from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { OperatorName } from '../../../graphs/onnx/ops/index.js';
import { type Graph, sizeOf, type Value } from '../../../graphs/onnx/types.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { needBlockedLayout, offered } from '../blocked.js';
import { noise, relativeError, runGraph } from '../run.js';

interface Shapes {
  n: number;
  c: number;
  k: number;
  d: number;
  h: number;
  w: number;
}
type Add = (name: string, shape: number[]) => Value;

const SAME = { kernel_shape: [3, 3, 3], strides: [1, 1, 1], pads: [1, 1, 1, 1, 1, 1] };
const STRIDED = { kernel_shape: [3, 2, 2], strides: [2, 1, 2], pads: [1, 1, 0, 1, 0, 0] };
const VOXEL = { kernel_shape: [1, 1, 1], strides: [1, 1, 1], pads: [0, 0, 0, 0, 0, 0] };
const POOL = { kernel_shape: [2, 2, 2], strides: [2, 2, 2] };

/** One call of every operator that has forms, for random sizes: the outputs to compare. */
const CALLS: Readonly<Record<FormedName, (g: GraphBuilder, add: Add, s: Shapes) => Value[]>> = {
  Add: (g, add, { n, c, k, d, h, w }) => {
    const map = (i: number) =>
      g.add('Conv', [add(`x${i}`, [n, c, d, h, w]), add(`w${i}`, [k, c, 3, 3, 3])], SAME);
    return [g.add('Add', [map(0), map(1)])];
  },
  Relu: (g, add, { n, c, k, d, h, w }) => [
    g.add('Relu', [g.add('Conv', [add('x', [n, c, d, h, w]), add('w', [k, c, 3, 3, 3])], SAME)]),
  ],
  Conv: (g, add, { n, c, k, d, h, w }) => [
    g.add('Conv', [add('x', [n, c, d, h, w]), add('w', [k, c, 3, 3, 3]), add('b', [k])], SAME),
  ],
  ConvRelu: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvRelu', [add('x', [n, c, d, h, w]), add('w', [k, c, 3, 3, 3]), add('b', [k])], SAME),
  ],
  ConvInputGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvInputGrad', [add('dy', [n, k, d, h, w]), add('w', [k, c, 3, 3, 3])], {
      ...SAME,
      input_shape: [n, c, d, h, w],
    }),
  ],
  ConvWeightGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvWeightGrad', [add('x', [n, c, d, h, w]), add('dy', [n, k, d, h, w])], SAME),
  ],
  ConvTranspose: (g, add, { n, c, k, d, h, w }) => {
    const window = w % 2 ? { ...STRIDED, output_padding: [d % 2, 0, h % 2] } : POOL;
    const weights = add('w', [k, c, ...window.kernel_shape]);
    return [g.add('ConvTranspose', [add('x', [n, k, d, h, w]), weights, add('b', [c])], window)];
  },
  UpsampleConv: (g, add, { n, c, k, d, h, w }) => [
    g.add('UpsampleConv', [add('x', [n, c, d, h, w]), add('w', [k, c, 3, 3, 3]), add('b', [k])]),
  ],
  UpsampleConvInputGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('UpsampleConvInputGrad', [add('dy', [n, k, 2 * d, 2 * h, 2 * w]), add('w', [k, c, 3, 3, 3])]),
  ],
  UpsampleConvWeightGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('UpsampleConvWeightGrad', [add('x', [n, c, d, h, w]), add('dy', [n, k, 2 * d, 2 * h, 2 * w])]),
  ],
  BatchNorm: (g, add, { n, c, d, h, w }) =>
    g.addMany(
      'BatchNorm',
      [add('x', [n, c, d, h, w]), add('scale', [c]), add('bias', [c])],
      { epsilon: 1e-3, relu: w % 2 },
      4,
    ),
  BatchNormGrad: (g, add, { n, c, d, h, w }) => {
    const shape = [n, c, d, h, w];
    const variance = g.add('Add', [g.add('Abs', [add('variance', [c])]), g.scalar(0.1)]);
    const y = g.add('Relu', [add('y', shape)]);
    const operands = [add('dy', shape), y, add('x', shape), add('scale', [c]), variance];
    return g.addMany('BatchNormGrad', operands, { epsilon: 1e-3, relu: w % 2 }, 3);
  },
  ChannelAffine: (g, add, { n, c, d, h, w }) => [
    g.add('ChannelAffine', [add('x', [n, c, d, h, w]), add('scale', [c]), add('bias', [c])], {
      relu: w % 2,
    }),
  ],
  ChannelSum: (g, add, { n, c, d, h, w }) => [g.add('ChannelSum', [add('x', [n, c, d, h, w])])],
  MaxPool: (g, add, { n, c, d, h, w }) => [g.add('MaxPool', [add('x', [n, c, 2 * d, 2 * h, 2 * w])], POOL)],
  MaxPoolGrad: (g, add, { n, c, d, h, w }) => {
    // Few different values, so that many windows have several maxima: as a constant background.
    const x = g.add('Floor', [g.add('Mul', [add('x', [n, c, 2 * d, 2 * h, 2 * w]), g.scalar(2)])]);
    const operands = [x, g.add('MaxPool', [x], POOL), add('dy', [n, c, d, h, w])];
    return [g.add('MaxPoolGrad', operands, { kernel_shape: POOL.kernel_shape })];
  },
};

/** The same for kernels of one voxel. */
const POINTWISE: Partial<typeof CALLS> = {
  Conv: (g, add, { n, c, k, d, h, w }) => [
    g.add('Conv', [add('x', [n, c, d, h, w]), add('w', [k, c, 1, 1, 1]), add('b', [k])]),
  ],
  ConvInputGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvInputGrad', [add('dy', [n, k, d, h, w]), add('w', [k, c, 1, 1, 1])], {
      ...VOXEL,
      input_shape: [n, c, d, h, w],
    }),
  ],
  ConvWeightGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvWeightGrad', [add('x', [n, c, d, h, w]), add('dy', [n, k, d, h, w])], VOXEL),
  ],
};

/** Sizes of an input of which strided windows make d × h × w, some with a rest that no window reaches. */
const stridedInput = ({ d, h, w }: Shapes) => [2 * d - 1 + (d % 2), h, 2 * w + (h % 2)];

/** The same for strided kernels. */
const STRIDES: Partial<typeof CALLS> = {
  ConvInputGrad: (g, add, s) => [
    g.add('ConvInputGrad', [add('dy', [s.n, s.k, s.d, s.h, s.w]), add('w', [s.k, s.c, 3, 2, 2])], {
      ...STRIDED,
      input_shape: [s.n, s.c, ...stridedInput(s)],
    }),
  ],
  ConvWeightGrad: (g, add, s) => [
    g.add(
      'ConvWeightGrad',
      [add('x', [s.n, s.c, ...stridedInput(s)]), add('dy', [s.n, s.k, s.d, s.h, s.w])],
      STRIDED,
    ),
  ],
};

const TILES = { ...POOL, pads: VOXEL.pads };

/** The same for windows of 2×2×2 that tile feature maps. */
const HALVING: Partial<typeof CALLS> = {
  Conv: (g, add, { n, c, k, d, h, w }) => {
    // Of odd sizes, no window reaches the rest.
    const x = add('x', [n, c, 2 * d, 2 * h + (w % 2), 2 * w]);
    return [g.add('Conv', [x, add('w', [k, c, 2, 2, 2]), add('b', [k])], { strides: TILES.strides })];
  },
  ConvInputGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvInputGrad', [add('dy', [n, k, d, h, w]), add('w', [k, c, 2, 2, 2])], {
      ...TILES,
      input_shape: [n, c, 2 * d, 2 * h, 2 * w],
    }),
  ],
  ConvWeightGrad: (g, add, { n, c, k, d, h, w }) => [
    g.add('ConvWeightGrad', [add('x', [n, c, 2 * d, 2 * h, 2 * w]), add('dy', [n, k, d, h, w])], TILES),
  ],
};

/** What is called to try a form. */
const callsFor = (name: string, { w }: Shapes): Partial<typeof CALLS> => {
  if (name === 'blockedLast') return POINTWISE;
  if (name === 'blockedHalving') return HALVING;
  return name === 'phases' || (name === 'columns' && w % 2 === 0) ? { ...CALLS, ...STRIDES } : CALLS;
};

const block = offered?.block ?? 16;
/** So few voxels that even small feature maps are cut. */
const CHUNKS = [8, 64, 100_000];
const upTo = (max: number) => fc.integer({ min: 1, max });
/** Half of the channel counts fill whole blocks, or half a one, or are 1. */
const channels = fc.oneof(upTo(5), fc.constantFrom(1, block / 2, block, 2 * block), fc.constant(block));
const sizes = fc.record({ n: upTo(3), c: channels, k: channels, d: upTo(6), h: upTo(6), w: upTo(6) });

function callOf(
  operator: FormedName,
  shapes: Shapes,
  calls: Partial<typeof CALLS> = CALLS,
): { graph: Graph; feeds: Record<string, EngineTensor> } {
  const g = new GraphBuilder('form');
  const feeds: Record<string, EngineTensor> = {};
  const add: Add = (name, shape) => {
    const data = noise(sizeOf(shape), 3 + Object.keys(feeds).length, 1, 0.2);
    feeds[name] = { type: 'float32', shape, data };
    return g.input(name, 'float32', shape);
  };
  for (const [i, value] of calls[operator]!(g, add, shapes).entries()) g.output(`result${i}`, value);
  return { graph: g.build(), feeds };
}

describe('every form agrees with the definition, whatever the sizes', () => {
  const candidates = Object.entries(forms).flatMap(([operator, all]) =>
    Object.entries(all)
      .filter(([name]) => name !== 'plain')
      .map(([name, form]) => [operator as FormedName, name, form as Form<never>] as const),
  );

  test('there are some', () => expect(candidates.length).toBeGreaterThanOrEqual(21));

  test.for(candidates)('%s: %s', async ([operator, name, form], context) => {
    const blocked = form.layout === 'slicePairs' ? needBlockedLayout(context) : offered;
    let compared = 0;
    const choose: ChooseForm = (called, call: Call<OperatorName>) => {
      if (called !== operator || form.applies?.(call as Call<never>) === false) return 'plain';
      compared++;
      return name;
    };
    await fc.assert(
      fc.asyncProperty(sizes, async (shapes) => {
        const { graph, feeds } = callOf(operator, shapes, callsFor(name, shapes));
        const before = compared;
        const chunked = blocked && { ...blocked, chunk: CHUNKS[(shapes.d + shapes.h) % 3]! };
        lower(graph, { choose, blocked: chunked });
        if (compared > before && before < 30) {
          const [expected, got] = [
            await runGraph(graph, feeds),
            await runGraph(graph, feeds, choose, chunked),
          ];
          for (const [output, tensor] of Object.entries(expected)) {
            const values = got[output]!.data as Float32Array;
            expect(relativeError(values, tensor.data as Float32Array)).toBeLessThan(1e-5);
          }
        }
      }),
      { numRuns: 400, seed: 1 },
    );
    expect(compared).toBeGreaterThan(5);
  });

  test.each(Object.keys(forms.MaxPoolGrad).filter((form) => offered !== null || form !== 'blocked'))(
    'MaxPoolGrad: %s gives each gradient once, also where x was computed again and y was not',
    async (form) => {
      const g = new GraphBuilder('again');
      const shape = [1, 16, 4, 4, 4];
      const inputs = [
        g.input('x', 'float32', shape),
        g.input('y', 'float32', [1, 16, 2, 2, 2]),
        g.input('dy', 'float32', [1, 16, 2, 2, 2]),
      ];
      g.output('dx', g.add('MaxPoolGrad', inputs, { kernel_shape: POOL.kernel_shape }));
      const x = noise(1024, 3, 1, 2);
      // The maxima of what x was before it was rounded otherwise.
      const y = new Float32Array(128).fill(4);
      const dy = noise(128, 4, 1, 2);
      const tensor = (data: Float32Array, of: number[]) => ({ type: 'float32' as const, shape: of, data });
      const feeds = { x: tensor(x, shape), y: tensor(y, [1, 16, 2, 2, 2]), dy: tensor(dy, [1, 16, 2, 2, 2]) };
      const { dx } = await runGraph(g.build(), feeds, () => form, offered);
      const given = [...(dx!.data as Float32Array)].filter((value) => value !== 0).sort();
      expect(given).toEqual([...dy].sort());
    },
  );

  test.for(['Conv', 'ConvRelu', 'ConvInputGrad', 'ConvWeightGrad'] as const)(
    '%s: blocked serves half a block of channels of the input',
    async (operator, context) => {
      const blocked = needBlockedLayout(context);
      for (const [i, k] of [block, 3 * block, block].entries()) {
        const { graph, feeds } = callOf(operator, {
          n: 1 + i,
          c: block / 2,
          k,
          d: 6 - 2 * i,
          h: 4 + i,
          w: 5,
        });
        const choose: ChooseForm = (called) => (called === operator ? 'blocked' : 'plain');
        const expected = (await runGraph(graph, feeds)).result0!.data as Float32Array;
        for (const chunk of CHUNKS) {
          const { result0 } = await runGraph(graph, feeds, choose, { ...blocked, chunk });
          expect(relativeError(result0!.data as Float32Array, expected)).toBeLessThan(1e-5);
        }
      }
    },
  );

  test('of small feature maps in one tensor, passed from one operator to the next', async (context) => {
    const blocked = needBlockedLayout(context);
    for (const [n, first] of [
      [1, block / 2],
      [3, block / 2],
      [2, block],
    ] as const) {
      const g = new GraphBuilder('small');
      const feeds: Record<string, EngineTensor> = {};
      const add: Add = (name, shape) => {
        const data = noise(sizeOf(shape), 3 + Object.keys(feeds).length, 0.3, 0.02);
        feeds[name] = { type: 'float32', shape, data };
        return g.input(name, 'float32', shape);
      };
      const convolved = (operator: 'Conv' | 'ConvRelu', x: Value, i: number, k: number) => {
        const weights = add(`w${i}`, [k, x.shape[1] as number, 3, 3, 3]);
        return g.add(operator, [x, weights, add(`b${i}`, [k])], SAME);
      };
      const fine = convolved(
        'ConvRelu',
        convolved('ConvRelu', add('x', [n, 1, 16, 8, 4]), 0, first),
        1,
        block,
      );
      const pooled = g.add('MaxPool', [fine], POOL);
      const coarse = g.add('MaxPool', [convolved('ConvRelu', pooled, 2, 2 * block)], POOL);
      g.output('fine', fine);
      g.output('of pairs', convolved('Conv', pooled, 3, block));
      g.output('coarse', convolved('ConvRelu', coarse, 4, block));
      const graph = g.build();
      const chosen = new Set<string>();
      const choose: ChooseForm = (operator, call) => {
        const name = fastForms(operator, call);
        chosen.add(name);
        return name;
      };
      const [expected, got] = [await runGraph(graph, feeds), await runGraph(graph, feeds, choose, blocked)];
      expect([...chosen].sort()).toEqual(['blocked', 'firstWhole', 'whole']);
      for (const name of Object.keys(expected)) {
        const [values, exact] = [got[name]!.data, expected[name]!.data];
        expect(relativeError(values as Float32Array, exact as Float32Array), name).toBeLessThan(1e-5);
      }
    }
  });

  test('an engine without a blocked layout has no blocked forms', () => {
    const { graph } = callOf('Conv', { n: 1, c: 16, k: 16, d: 2, h: 2, w: 2 });
    const blocked: ChooseForm = () => 'blocked';
    expect(() => lower(graph, { choose: blocked })).toThrow('cannot take the form "blocked"');
    expect(lower(graph, { choose: plainForms }).nodes.map((n) => n.operator)).toContain('Conv');
  });
});
