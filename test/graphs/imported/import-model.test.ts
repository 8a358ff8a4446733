/** What an imported network is: its sizes, the branch that is taken, its convolutions, and its names. */
import { describe, expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import type { Tensor } from '../../../graphs/onnx/types.js';
import { gradientGraph } from '../../../graphs/programs/training.js';
import {
  batch,
  filled,
  graphOf,
  int,
  integers,
  modelOf,
  names,
  node,
  type Parts,
  perceptron,
  unranked,
  value,
  weight,
} from './models.js';

describe('sizes', () => {
  test('of inputs are fixed at import, and those of outputs follow', () => {
    const { inputs, outputs } = importModel(modelOf(perceptron), batch);
    expect(inputs).toEqual([{ name: 'x', type: 'float32', shape: [5, 3] }]);
    expect(outputs).toEqual([{ name: 'y', type: 'float32', shape: [5, 2] }]);
  });

  test('with one name are the same for all inputs', () => {
    const parts: Parts = {
      ...perceptron,
      inputs: [value('x', ['batch', 3]), value('z', ['batch', 2])],
      nodes: [...perceptron.nodes, node('Add', ['y', 'z'], ['sum'])],
      outputs: ['sum'],
    };
    expect(importModel(modelOf(parts), batch).inputs[1]!.shape).toEqual([5, 2]);
  });

  test.each<[what: string, inputs: Record<string, number[]>, message: string]>([
    ['left open', {}, 'sizes must be fixed for training, these are open: x [batch,3]'],
    ['of no input', { image: [1, 3] }, 'there is no input "image"; the model has x [batch,3]'],
    ['of another rank', { x: [3] }, 'input "x" is [batch,3], which [3] does not suit'],
    ['other than the file’s', { x: [5, 4] }, 'input "x" is [batch,3], which [5,4] does not suit'],
    ['that are none', { x: [0, 3] }, 'input "x" is [batch,3], which [0,3] does not suit'],
  ])('%s are refused', (_, inputs, message) => {
    expect(() => importModel(modelOf(perceptron), { inputs })).toThrow(message);
  });

  test('may be of any number of axes where the file does not say how many there are', () => {
    const bytes = unranked(perceptron, 'x');
    expect(importModel(bytes, batch).inputs).toEqual([value('x', [5, 3])]);
    expect(() => importModel(bytes)).toThrow('these are open: x of any shape');
    expect(() => importModel(bytes, { inputs: { image: [1] } })).toThrow('the model has x of any shape');
    expect(() => importModel(bytes, { inputs: { x: [0, 3] } })).toThrow(
      'input "x" is of any shape, which [0,3] does not suit',
    );
  });

  test('may be those of an output alone: what makes others need not be known', () => {
    const parts: Parts = {
      ...perceptron,
      outputs: ['y', 'class'],
      nodes: [...perceptron.nodes, node('Unknown', ['y'], ['class'], {}, 'org.example')],
    };
    expect(() => importModel(modelOf(parts), batch)).toThrow('the operator set "org.example"');
    const { outputs, report } = importModel(modelOf(parts), { ...batch, outputs: ['y'] });
    expect(outputs.map(({ name }) => name)).toEqual(['y']);
    expect(report.trained).toHaveLength(4);
    expect(() => importModel(modelOf(parts), { ...batch, outputs: ['z'] })).toThrow(
      'the network has no value "z"',
    );
  });

  test('are of outputs in the order of the file, whatever their names', () => {
    const parts: Parts = {
      ...perceptron,
      nodes: [...perceptron.nodes, node('Relu', ['y'], ['95']), node('Neg', ['y'], ['320'])],
      outputs: ['320', '95'],
    };
    expect(names(importModel(modelOf(parts), batch).outputs)).toEqual(['320', '95']);
  });

  test('that are computed step by step are constants, and leave no nodes', () => {
    const flattened: Parts = {
      ...perceptron,
      inputs: [value('x', ['batch', 3, 1])],
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Constant', [], ['zero'], { value: { kind: 'tensor', value: integers(0) } }),
        node('Gather', ['shape', 'zero'], ['size']),
        node('Constant', [], ['rest'], { value_ints: { kind: 'ints', value: [-1] } }),
        node('Concat', ['size', 'rest'], ['wanted'], { axis: int(0) }),
        node('Reshape', ['x', 'wanted'], ['flat']),
        ...perceptron.nodes.map((n) => ({
          ...n,
          inputs: n.inputs.map((name) => (name === 'x' ? 'flat' : name)),
        })),
      ],
    };
    const { graph, outputs } = importModel(modelOf(flattened), { inputs: { x: [5, 3, 1] } });
    expect(graph.nodes.map(({ operator }) => operator)).toEqual(['Reshape', 'Gemm', 'Relu', 'MatMul', 'Add']);
    expect(outputs[0]!.shape).toEqual([5, 2]);
  });
});

describe('control flow', () => {
  const squared = graphOf({ inputs: [], outputs: ['s'], nodes: [node('Mul', ['h', 'h'], ['s'])] });
  const negated = graphOf({ inputs: [], outputs: ['s'], nodes: [node('Neg', ['h'], ['s'])] });
  const branching = (condition: string, tensors: Record<string, Tensor>): Parts => ({
    ...perceptron,
    nodes: [
      ...perceptron.nodes.slice(0, 1),
      node('If', [condition], ['i'], {
        then_branch: { kind: 'graph', value: squared },
        else_branch: { kind: 'graph', value: negated },
      }),
      node('MatMul', ['i', 'second.weight'], ['y']),
    ],
    tensors: { ...perceptron.tensors, ...tensors },
  });

  test.each([
    [1, 'Mul'],
    [0, 'Neg'],
  ])('with a fixed condition %i is the branch that is taken', (condition, operator) => {
    const fixed: Tensor = { type: 'bool', shape: [], data: Uint8Array.of(condition) };
    const { graph } = importModel(modelOf(branching('fixed', { fixed })), batch);
    expect(graph.nodes.map((n) => n.operator)).toEqual(['Gemm', operator, 'Identity', 'MatMul']);
  });

  test('with a condition that depends on the data is refused', () => {
    const parts = branching('positive', {});
    const nodes = [
      node('ReduceMax', ['x'], ['most'], { keepdims: int(0) }),
      node('Greater', ['most', 'limit'], ['positive']),
      ...parts.nodes,
    ];
    const tensors = {
      ...parts.tensors,
      limit: { type: 'float32', shape: [], data: Float32Array.of(0) } as Tensor,
    };
    expect(() => importModel(modelOf({ ...parts, nodes, tensors }), batch)).toThrow(
      'If (1, such as "i"): which branch is taken depends on the data',
    );
  });
});

test('a convolution has no bias where the exporter computed zeros for one, of whatever shape', () => {
  const parts: Parts = {
    inputs: [value('x', [1, 2, 4])],
    outputs: ['y'],
    nodes: [
      node('Shape', ['kernel'], ['channels'], { start: int(0), end: int(1) }),
      node('Constant', [], ['two'], { value_ints: { kind: 'ints', value: [2] } }),
      node('Concat', ['channels', 'two'], ['shape'], { axis: int(0) }),
      node('Constant', [], ['zero'], { value_float: { kind: 'float', value: 0 } }),
      node('CastLike', ['zero', 'x'], ['cast']),
      node('Expand', ['cast', 'shape'], ['bias']),
      node('Conv', ['x', 'kernel', 'bias'], ['y']),
    ],
    tensors: { kernel: weight([3, 2, 1], 1) },
  };
  const { graph, outputs } = importModel(modelOf(parts));
  expect(graph.nodes.map(({ operator, inputs }) => [operator, inputs])).toEqual([['Conv', ['x', 'kernel']]]);
  expect(outputs[0]!.shape).toEqual([1, 3, 4]);
});

describe('zeros around a convolution', () => {
  const convolved = (pads: readonly number[], end = 0): Parts => ({
    inputs: [value('x', ['batch', 1, 4, 4])],
    tensors: { pads: integers(...pads), end: filled([], end), w: filled([2, 1, 3, 3], 0.5) },
    nodes: [
      node('Pad', ['x', 'pads', 'end'], ['padded']),
      node('Conv', ['padded', 'w'], ['y'], { pads: { kind: 'ints', value: [1, 0, 0, 0] } }),
    ],
    outputs: ['y'],
  });
  const imported = (parts: Parts) => importModel(modelOf(parts), { inputs: { x: [1, 1, 4, 4] } });

  test('become its own', () => {
    const { graph, outputs } = imported(convolved([0, 0, 0, 1, 0, 0, 1, 2]));
    expect(outputs[0]!.shape).toEqual([1, 2, 4, 5]);
    const convolution = graph.nodes.find(({ operator }) => operator === 'Conv')!;
    expect(convolution.inputs[0]).toBe('x');
    expect(convolution.attributes.pads).toEqual({ kind: 'ints', value: [1, 1, 1, 2] });
  });

  test.each<[what: string, pads: readonly number[], end: number]>([
    ['that are other numbers', [0, 0, 0, 1, 0, 0, 1, 2], 1],
    ['that are cut off', [0, 0, 0, -1, 0, 0, 1, 2], 0],
    ['that are whole samples', [1, 0, 0, 0, 0, 0, 0, 0], 0],
  ])('%s stay', (_, pads, end) => {
    const { graph } = imported(convolved(pads, end));
    expect(graph.nodes.find(({ operator }) => operator === 'Conv')!.inputs[0]).toBe('padded');
  });
});

describe('names', () => {
  /** The perceptron with other names of weights. */
  const renamed = (names: Readonly<Record<string, string>>): Parts => ({
    ...perceptron,
    nodes: perceptron.nodes.map((n) => ({ ...n, inputs: n.inputs.map((name) => names[name] ?? name) })),
    tensors: Object.fromEntries(
      Object.entries(perceptron.tensors!).map(([name, tensor]) => [names[name] ?? name, tensor]),
    ),
  });

  test('of weights may be those that training has, and what these become', () => {
    const parts = renamed({
      'first.weight': 'loss',
      'first.bias': 'model.loss',
      'second.weight': 'constant',
      'second.bias': 'classifier.output.bias',
    });
    const model = importModel(modelOf(parts), batch);
    const { graph } = gradientGraph(importedObjective(model, { loss: { name: 'meanSquaredError' } }));
    expect(graph.outputs.map(({ name }) => name)).toEqual([
      'loss',
      ...['model.loss', 'model.model.loss', 'constant', 'model.classifier.output.bias'].map(
        (name) => `gradient:${name}`,
      ),
    ]);
  });
});
