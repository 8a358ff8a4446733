import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../graphs/onnx/types.js';
import { mixedPrecision } from '../../../graphs/passes/mixed-precision.js';
import { planOf, savings } from '../../../graphs/programs/recompute.js';
import { stepGraph } from '../../../graphs/programs/training.js';
import { resolveConfig } from '../../../src/config/pretraining.js';
import { proxyWorkload } from '../../../src/train/proxy.js';

const config = resolveConfig({
  preset: 'tiny',
  config: { whole: [16, 16, 8], batch: 2, network: { width: 2, levels: 2, skip: true } },
});
const objective = proxyWorkload(config, config.whole)(2);
const graph = stepGraph(objective, config, { lossScaling: true }).graph;

/** Of all floats that nodes of an operator read and make. */
const typesOf = ({ nodes, values }: Graph, operator: string) => {
  const found = nodes.filter((node) => node.operator === operator);
  expect(found.length).toBeGreaterThan(0);
  return [
    ...new Set(
      found.flatMap(({ inputs, outputs }) =>
        [...inputs, ...outputs]
          .map((name) => values.get(name)!.type)
          .filter((type) => type.startsWith('float')),
      ),
    ),
  ];
};

describe('mixed precision', () => {
  const made = mixedPrecision(graph);

  test('keeps inputs and outputs as they are', () => {
    expect(made.inputs).toEqual(graph.inputs);
    expect(made.outputs).toEqual(graph.outputs);
  });

  test.each([
    'Conv',
    'ConvInputGrad',
    'ConvWeightGrad',
    'UpsampleConv',
    'UpsampleConvInputGrad',
    'UpsampleConvWeightGrad',
    'MaxPool',
    'MaxPoolGrad',
  ])('computes %s in float16', (operator) => {
    expect(typesOf(made, operator)).toEqual(['float16']);
  });

  test.each(['BatchNorm', 'BatchNormGrad', 'Sigmoid', 'ReduceMean', 'Sqrt', 'ReduceSumSquare'])(
    'computes %s in float32',
    (operator) => {
      expect(typesOf(made, operator)).toEqual(['float32']);
    },
  );

  test.each([
    ['everything is kept', {}],
    ['much is recomputed', planOf(savings(graph))],
  ])('no float32 feature map is kept for the backward pass where %s', (_name, recompute) => {
    const { nodes, values } = mixedPrecision(
      stepGraph(objective, config, { lossScaling: true, recompute }).graph,
    );
    const first = nodes.findIndex(({ name }) => name.startsWith('gradient/'));
    const forward = new Set(nodes.slice(0, first).flatMap(({ outputs }) => outputs));
    const read = new Set(
      nodes.slice(first).flatMap(({ inputs }) => inputs.filter((name) => forward.has(name))),
    );
    const large = [...read]
      .map((name) => values.get(name)!)
      .filter(({ shape, type }) => type === 'float32' && shape.length === 5 && Number(shape[1]) > 1);
    // Kernels of joined channels, which are split, are parameters.
    expect(large.map(({ name }) => name).filter((name) => !name.includes('Split'))).toEqual([]);
  });
});
