import { expect, test } from 'vitest';
import { halfToNumber, toFloat16 } from '../../../graphs/onnx/float16.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import { halfWeights } from '../../../graphs/passes/half-weights.js';
import { noise, runGraph } from '../run.js';
import { smallNetwork } from './small-network.js';

const x = { type: 'float32', shape: [1, 1, 8, 8, 8], data: noise(512, 1, 1500) } as const;

test('computes in float32 with kernels that were rounded to float16', async () => {
  const graph = smallNetwork();
  const rounded = new Map(
    [...graph.initializers].map(([name, tensor]) => {
      if (tensor.shape.length < 2) return [name, tensor];
      const data = Float32Array.from(toFloat16(tensor.data as Float32Array), halfToNumber);
      return [name, { ...tensor, data }];
    }),
  );
  const half = decodeModel(encodeModel(toModel(halfWeights(graph)))).graph;
  expect(await runGraph(half, { x })).toEqual(await runGraph({ ...graph, initializers: rounded }, { x }));
});

test('kernels are stored in float16, and all else stays as it was', () => {
  const graph = smallNetwork();
  const half = halfWeights(graph);
  expect([half.inputs, half.outputs]).toEqual([graph.inputs, graph.outputs]);
  expect(half.nodes.slice(-graph.nodes.length)).toEqual(graph.nodes);
  for (const [name, tensor] of graph.initializers) {
    const { shape } = tensor;
    if (shape.length < 2) expect(half.initializers.get(name)).toEqual(tensor);
    else expect(half.initializers.get(`${name}.float16`)).toMatchObject({ type: 'float16', shape });
  }
  expect(half.initializers.size).toBe(graph.initializers.size);
});
