import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import { GraphError } from '../../../graphs/onnx/types.js';
import { bindSizes } from '../../../graphs/passes/bind-sizes.js';

/** A file knows the shapes of its inputs and outputs only. */
function exported() {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', ['N', 2, 'D', 'H', 'W']);
  const pooled = g.add('MaxPool', [x], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] });
  g.output('mean', g.add('GlobalAveragePool', [pooled]));
  g.output('pooled', pooled);
  return decodeModel(encodeModel(toModel(g.build()))).graph;
}

test('all shapes are known when the inputs’ are, and names and order stay', () => {
  const bound = bindSizes(exported(), { x: [1, 2, 4, 6, 8] });
  expect(bound.inputs).toMatchObject([{ name: 'x', shape: [1, 2, 4, 6, 8] }]);
  expect(bound.outputs).toMatchObject([
    { name: 'mean', shape: [1, 2, 1, 1, 1] },
    { name: 'pooled', shape: [1, 2, 2, 3, 4] },
  ]);
  expect(bound.values.get('MaxPool')!.shape).toEqual([1, 2, 2, 3, 4]);
  expect(bound.nodes.map(({ operator }) => operator)).toEqual(
    exported().nodes.map(({ operator }) => operator),
  );
});

test('sizes that are not given stay names', () => {
  expect(bindSizes(exported(), {}).outputs[1]!.shape).toEqual(['N', 2, 'D/2', 'H/2', 'W/2']);
});

test('sizes that do not suit the graph are refused at the node', () => {
  const g = new GraphBuilder('g');
  g.output(
    'y',
    g.add('MatMul', [
      g.input('x', 'float32', ['N', 3]),
      g.initializer('w', { type: 'float32', shape: [3, 1], data: Float32Array.of(1, 2, 3) }),
    ]),
  );
  const attempt = () => bindSizes(g.build(), { x: [2, 4] });
  expect(attempt).toThrow(GraphError);
  expect(attempt).toThrow('MatMul at "MatMul" (inputs [2,4], [3,1]): inner sizes of [2,4] and [3,1] differ');
});
