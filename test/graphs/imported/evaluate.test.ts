import { describe, expect, test } from 'vitest';
import { evaluate, isEvaluated } from '../../../graphs/imported/evaluate.js';
import type { Attribute, Tensor } from '../../../graphs/onnx/types.js';
import { asItIs, int, integers, ints, numbers, random, text } from '../standard/as-it-is.js';
import { type NodeTest, nodeTests } from '../standard/cases.js';

/** Uses that are left to the graph. */
const LEFT = [/^cumsum.*(exclusive|reverse)/, /scatternd_(add|mul|min|max)/, /gathernd.*batch/];

const numbersOf = ({ data }: Tensor) => Array.from(data as ArrayLike<number | bigint>, Number);

function expectRight({ node, inputs, expected }: NodeTest): void {
  const results = evaluate(
    node,
    node.inputs.map((name) => inputs.get(name) ?? null),
  );
  expect(results).not.toBeNull();
  for (const [i, want] of expected.entries()) {
    const got = results![i]!;
    expect([got.type, got.shape]).toEqual([want.type, want.shape]);
    const wanted = numbersOf(want);
    for (const [j, v] of numbersOf(got).entries())
      if (!Object.is(v, wanted[j]) && v !== wanted[j])
        expect(Math.abs(v - wanted[j]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(wanted[j]!)));
  }
}

describe('the standard’s node tests', () => {
  const cases = nodeTests.filter(
    ({ node, name, isHalf }) =>
      isEvaluated(node) && !isHalf && !LEFT.some((left) => left.test(name.replace('test_', ''))),
  );
  test.each(cases.map((c) => [c.name, c] as const))('%s: evaluated as the standard says', (_, nodeTest) => {
    expectRight(nodeTest);
  });
  test('are many', () => {
    expect(cases.length).toBeGreaterThan(100);
  });
});

const flags = (...values: number[]): Tensor => ({
  type: 'bool',
  shape: [values.length],
  data: Uint8Array.from(values),
});
const scalar = (value: number): Tensor => integers([value], []);
const tensor = (value: Tensor): Attribute => ({ kind: 'tensor', value });
type Row = readonly [
  operator: string,
  inputs: readonly (Tensor | null)[],
  attributes?: Readonly<Record<string, Attribute>>,
  outputs?: readonly ('int64' | 'float32' | 'bool' | 'int32')[],
  opset?: number,
];

/** What exporters compute of shapes: integers mostly, of which the standard's float cases say nothing. */
const ROWS: readonly Row[] = [
  ['Add', [integers([1, 2, 3]), scalar(-5)]],
  ['Div', [integers([-7, 7, 9]), integers([2, -2, 4])]],
  ['Mod', [integers([-7, 7, -7]), integers([3, -3, -3])]],
  ['Mod', [integers([-7, 7, -7]), integers([3, -3, -3])], { fmod: int(1) }],
  ['Pow', [integers([2, 3]), integers([3, 2])]],
  ['Equal', [integers([-1, 4, 8]), integers([-1, -1, 8])], {}, ['bool']],
  ['And', [flags(1, 0, 1), flags(1, 1, 0)], {}, ['bool']],
  ['Not', [flags(1, 0)], {}, ['bool']],
  ['Where', [flags(1, 0, 1), integers([1, 2, 3]), scalar(9)]],
  ['Cast', [numbers(1.7, -1.7, 0)], { to: int(7) }],
  ['Cast', [numbers(0.5, 0, -2)], { to: int(9) }, ['bool']],
  ['Cast', [integers([3, 2 ** 40])], { to: int(1) }, ['float32']],
  ['Range', [scalar(2), scalar(9), scalar(3)]],
  ['Range', [scalar(5), scalar(-1), scalar(-2)]],
  ['ConstantOfShape', [integers([2, 3])], { value: tensor(integers([7])) }],
  ['ConstantOfShape', [integers([2, 3])], {}, ['float32']],
  ['Concat', [integers([1, 2, 3, 4], [2, 2]), integers([5, 6], [2, 1])], { axis: int(-1) }],
  ['Slice', [integers([1, 2, 3, 4, 5]), integers([-1]), integers([-100]), integers([0]), integers([-2])]],
  ['Slice', [integers([1, 2, 3, 4], [2, 2]), integers([1]), integers([2 ** 53]), integers([1])]],
  ['Gather', [integers([1, 2, 3, 4], [2, 2]), scalar(-1)], { axis: int(1) }],
  ['GatherND', [integers([1, 2, 3, 4], [2, 2]), integers([1, 0], [1, 2])]],
  ['GatherElements', [integers([1, 2, 3, 4], [2, 2]), integers([0, 1], [1, 2])], { axis: int(0) }],
  ['ScatterND', [integers([1, 2, 3, 4]), integers([-1, 0], [2, 1]), integers([8, 9])]],
  ['Tile', [integers([1, 2], [1, 2]), integers([2, 2])]],
  ['Expand', [integers([1, 2], [2, 1]), integers([3, 1, 2])]],
  ['Transpose', [integers([1, 2, 3, 4, 5, 6], [1, 2, 3])], { perm: ints(2, 0, 1) }],
  ['Split', [integers([1, 2, 3, 4, 5]), integers([2, 3])], {}, ['int64', 'int64']],
  ['Split', [integers([1, 2, 3, 4, 5])], { num_outputs: int(2) }, ['int64', 'int64']],
  ['Squeeze', [integers([1, 2], [1, 2, 1])]],
  ['Squeeze', [integers([1, 2], [1, 2, 1]), integers([-1])]],
  ['Unsqueeze', [integers([1, 2]), integers([0, -1])]],
  ['Unsqueeze', [integers([1, 2])], { axes: ints(0, 2) }, ['int64'], 11],
  ['Reshape', [integers([1, 2, 3, 4]), integers([0, 1, -1])]],
  ['Flatten', [integers([1, 2, 3, 4, 5, 6], [1, 2, 3])], { axis: int(2) }],
  ['ReduceProd', [integers([2, 3, 4])], { keepdims: int(0) }],
  ['ReduceSum', [integers([1, 2, 3, 4], [2, 2]), integers([1])]],
  ['ReduceMax', [integers([1, 7, 3]), integers([0])], { keepdims: int(0) }],
  ['NonZero', [integers([0, 3, 0, 5], [2, 2])]],
  ['CumSum', [integers([1, 2, 3, 4], [2, 2]), scalar(1)]],
  ['Trilu', [integers([1, 2, 3, 4, 5, 6], [2, 3]), scalar(1)], { upper: int(0) }],
  ['Max', [integers([1, 5]), integers([4]), scalar(2)]],
  ['Clip', [integers([-3, 2, 9]), scalar(0), scalar(5)]],
  ['EyeLike', [integers([0, 0, 0, 0, 0, 0], [2, 3])], { k: int(1) }],
  ['Round', [numbers(0.5, 1.5, -0.5, -1.5, 2.4)], {}, ['float32']],
  ['Floor', [numbers(1.9, -1.1)], {}, ['float32']],
  ['Sqrt', [random([5], 3, 2)], {}, ['float32']],
];

describe('what exporters compute of shapes', () => {
  test.each(ROWS.map((row) => [`${row[0]} ${JSON.stringify(Object.keys(row[2] ?? {}))}`, row] as const))(
    '%s: evaluated as ONNX Runtime does',
    async (_, [operator, inputs, attributes = {}, outputs = ['int64'], opset = 18]) => {
      expectRight(await asItIs(opset, operator, inputs, attributes, outputs));
    },
  );

  test.each<[what: string, operator: string, inputs: readonly (Tensor | null)[]]>([
    ['a division by zero', 'Div', [integers([1]), integers([0])]],
    ['an index beyond the end', 'Gather', [integers([1, 2]), integers([5])]],
    ['a shape that does not fit', 'Reshape', [integers([1, 2, 3]), integers([2, 2])]],
    ['more values than fit in memory', 'ConstantOfShape', [integers([2 ** 20, 2 ** 20])]],
    ['a negative size', 'ConstantOfShape', [integers([-1])]],
    ['an endless range', 'Range', [scalar(0), scalar(5), scalar(0)]],
    ['an input that is missing', 'Add', [integers([1]), null]],
    ['an operator that is not known', 'Frobnicate', [integers([1])]],
  ])('%s is not evaluated', (_, operator, inputs) => {
    const node = {
      name: 'n',
      operator,
      domain: '',
      inputs: inputs.map((tensor, i) => (tensor ? `x${i}` : '')),
      outputs: ['y'],
      attributes: { mode: text('x') },
    };
    expect(evaluate(node, inputs)).toBeNull();
  });
});
