import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';

describe('a graph builder', () => {
  test.each([
    [
      'shapes that cannot be broadcast',
      (g: GraphBuilder) => g.add('Add', [g.input('a', 'float32', [2, 3]), g.input('b', 'float32', [4])]),
      'Add at "Add" (inputs [2,3], [4]): shapes [2,3] and [4] cannot be broadcast together',
    ],
    [
      'inner sizes that differ',
      (g: GraphBuilder) =>
        g.add('MatMul', [g.input('a', 'float32', [2, 3]), g.input('b', 'float32', [4, 5])]),
      'MatMul at "MatMul" (inputs [2,3], [4,5]): inner sizes of [2,3] and [4,5] differ',
    ],
    [
      'channels that do not fit',
      (g: GraphBuilder) =>
        g.add('Conv', [g.input('x', 'float32', [1, 2, 4, 4, 4]), g.input('w', 'float32', [8, 3, 3, 3, 3])]),
      'Conv at "Conv" (inputs [1,2,4,4,4], [8,3,3,3,3]): input [1,2,4,4,4] and weights [8,3,3,3,3] do not fit',
    ],
    [
      'a bias that is not one value a channel',
      (g: GraphBuilder) =>
        g.add('Conv', [
          g.input('x', 'float32', [1, 2, 4, 4]),
          g.input('w', 'float32', [8, 2, 3, 3]),
          g.input('b', 'float32', [8, 2]),
        ]),
      'Conv at "Conv" (inputs [1,2,4,4], [8,2,3,3], [8,2]): the bias is [8,2], not [8]',
    ],
    [
      'a wrong number of values',
      (g: GraphBuilder) => g.reshape(g.input('x', 'float32', [2, 3]), [4, 2]),
      'Reshape at "Reshape" (inputs [2,3], [2]): [2,3] cannot become [4,2]: 6 values against 8',
    ],
    [
      'element types that differ',
      (g: GraphBuilder) => g.add('Mul', [g.input('x', 'float32', [2]), g.input('y', 'int64', [2])]),
      'Mul at "Mul" (inputs [2], [2]): inputs have different element types: float32 and int64',
    ],
    [
      'an equation that names no axis of the input',
      (g: GraphBuilder) => g.add('Einsum', [g.input('x', 'float32', [2, 3])], { equation: 'ijk->i' }),
      'Einsum at "Einsum" (inputs [2,3]): "ijk" does not name each axis of [2,3] once',
    ],
    [
      'an equation whose axes differ in size',
      (g: GraphBuilder) =>
        g.add('Einsum', [g.input('a', 'float32', [2, 3]), g.input('b', 'float32', [4, 5])], {
          equation: 'ij,jk->ik',
        }),
      'Einsum at "Einsum" (inputs [2,3], [4,5]): axis "j" has the sizes 3 and 4',
    ],
    [
      'indices of more axes than there are',
      (g: GraphBuilder) => g.add('GatherND', [g.input('x', 'float32', [2]), g.input('i', 'int64', [4, 2])]),
      'GatherND at "GatherND" (inputs [2], [4,2]): [2] has no 2 axes to take values from',
    ],
    [
      'a size that is no integer',
      (g: GraphBuilder) => g.reshape(g.input('x', 'float32', [2, 3]), [1.5, 4]),
      'sizes, axes and places are integers, got [1.5,4]',
    ],
    [
      'an axis that is not there',
      (g: GraphBuilder) => g.sum(g.input('x', 'float32', [2]), [1]),
      'ReduceSum at "ReduceSum" (inputs [2], [1]): axis 1 is out of range for 1 axes',
    ],
  ])('names operator, place and shapes for %s', (_, build, message) => {
    expect(() => build(new GraphBuilder('g'))).toThrow(message);
  });

  test('refuses a value of another graph, a name twice, and an unknown attribute', () => {
    const [g, other] = [new GraphBuilder('g'), new GraphBuilder('other')];
    const stranger = other.input('x', 'float32', [1]);
    expect(() => g.add('Relu', [stranger])).toThrow(/"x" does not belong to graph "g"/);
    g.input('x', 'float32', [1]);
    expect(() => g.input('x', 'float32', [1])).toThrow(/"x" is taken/);
    expect(() =>
      g.add('Transpose', [g.input('y', 'float32', [1, 2])], { perm: [1, 0], axes: 1 } as never),
    ).toThrow(/unknown attribute "axes"; known: perm/);
  });

  test('gives the same names to the same calls, by scope', () => {
    const build = () => {
      const g = new GraphBuilder('g');
      const x = g.input('x', 'float32', [1]);
      g.scope('encoder.0', () => g.add('Relu', [g.add('Relu', [x])]));
      g.add('Relu', [x]);
      return g.build().nodes.map((n) => n.name);
    };
    expect(build()).toEqual(['encoder.0/Relu', 'encoder.0/Relu_1', 'Relu']);
    expect(build()).toEqual(build());
  });

  test('knows the values of a long constant too', () => {
    const g = new GraphBuilder('long');
    const sizes = Array.from({ length: 200 }, (_, i) => 1 + (i % 3));
    const x = g.input('x', 'float32', [sizes.reduce((a, b) => a + b), 2]);
    const parts = g.addMany('Split', [x, g.integers(sizes)], { axis: 0 }, sizes.length);
    expect(parts.map(({ shape }) => shape)).toEqual(sizes.map((size) => [size, 2]));
  });

  test('stores equal constants once', () => {
    const g = new GraphBuilder('g');
    expect(g.scalar(1)).toBe(g.scalar(1));
    expect(g.scalar(1)).not.toBe(g.scalar(1, 'float64'));
    expect(g.build().initializers.size).toBe(2);
  });

  test('follows named sizes through pooling and up-sampling', () => {
    const g = new GraphBuilder('g');
    const x = g.input('x', 'float32', ['N', 4, 'D', 'H', 'W']);
    const pooled = g.add('MaxPool', [x], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] });
    expect(pooled.shape).toEqual(['N', 4, 'D/2', 'H/2', 'W/2']);
    const w = g.input('w', 'float32', [8, 4, 3, 3, 3]);
    expect(g.add('UpsampleConv', [pooled, w]).shape).toEqual(['N', 8, 'D', 'H', 'W']);
  });

  test('infers the shapes of what is taken by indices, and of sums of products', () => {
    const g = new GraphBuilder('g');
    const x = g.input('x', 'float32', [2, 3, 4]);
    const indices = g.input('i', 'int64', [5, 2]);
    expect(g.add('GatherND', [x, indices]).shape).toEqual([5, 4]);
    expect(g.add('Gather', [x, indices], { axis: 1 }).shape).toEqual([2, 5, 2, 4]);
    expect(g.add('Einsum', [x, x], { equation: 'bij,bkj->bik' }).shape).toEqual([2, 3, 3]);
    const [largest, places] = g.addMany('TopK', [x, g.integers([2])], { axis: 1 }, 2);
    expect([largest!.shape, places!.shape, places!.type]).toEqual([[2, 2, 4], [2, 2, 4], 'int64']);
    const w = g.input('w', 'float32', [4, 3, 3, 3]);
    const image = g.input('image', 'float32', [1, 4, 5, 6]);
    expect(g.add('ConvTranspose', [image, w], { group: 2, dilations: [2, 1] }).shape).toEqual([1, 6, 9, 8]);
    expect(g.add('ChannelSum', [image]).shape).toEqual([image.shape[1]]);
  });

  test.each([
    [[5, 7], [1], [4], [1], [1], [5, 3]],
    [[5, 7], [-1], [-99], [1], [-2], [5, 4]],
    [[5, 7], [2], [99], [0], [2], [2, 7]],
    [[5, 7], [6], [2], [0], [1], [0, 7]],
  ])(
    'slices %j from %j to %j on axes %j by %j as NumPy does',
    (shape, starts, ends, axes, steps, expected) => {
      const g = new GraphBuilder('g');
      expect(g.slice(g.input('x', 'float32', shape), starts, ends, axes, steps).shape).toEqual(expected);
    },
  );
});
