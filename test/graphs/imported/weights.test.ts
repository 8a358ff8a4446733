/** Which stored tensors are trained, and as how many. */
import { describe, expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import type { Attribute } from '../../../graphs/onnx/types.js';
import {
  batch,
  filled,
  graphOf,
  int,
  modelOf,
  names,
  node,
  type Parts,
  perceptron,
  trainedOf,
  value,
  weight,
} from './models.js';

describe('what is trained', () => {
  test('stands where weights stand', () => {
    expect(trainedOf(perceptron, batch)).toEqual([
      'first.weight',
      'first.bias',
      'second.weight',
      'second.bias',
    ]);
  });

  test('is behind what only gives a weight another form', () => {
    const nodes = [
      node('Transpose', ['first.transposed'], ['t'], { perm: { kind: 'ints', value: [1, 0] } }),
      node('Identity', ['t'], ['first.weight']),
      ...perceptron.nodes,
    ];
    const { 'first.weight': _, ...others } = perceptron.tensors!;
    const tensors = { ...others, 'first.transposed': weight([4, 3], 1) };
    expect(trainedOf({ ...perceptron, nodes, tensors }, batch)).toContain('first.transposed');
  });

  const convolved: Parts = {
    inputs: [value('x', [2, 3, 8, 8])],
    outputs: ['y'],
    nodes: [
      node('Sub', ['x', 'mean'], ['centred']),
      node('Conv', ['centred', 'kernel', ''], ['c']),
      node('Resize', ['c', '', 'scales'], ['large'], { mode: { kind: 'string', value: 'linear' } }),
      node('Clip', ['large', 'low', 'high'], ['clipped']),
      node('Mul', ['clipped', 'factor'], ['scaled']),
      node('Mul', ['scaled', 'gamma'], ['normed']),
      node('Add', ['normed', 'beta'], ['shifted']),
      node('Add', ['shifted', 'mask'], ['y']),
    ],
    tensors: {
      mean: weight([1, 3, 1, 1], 1),
      kernel: weight([4, 3, 3, 3], 2),
      scales: { type: 'float32', shape: [4], data: Float32Array.of(1, 1, 2, 2) },
      low: { type: 'float32', shape: [], data: Float32Array.of(-1) },
      high: { type: 'float32', shape: [], data: Float32Array.of(1) },
      factor: { type: 'float32', shape: [1], data: Float32Array.of(0.125) },
      gamma: weight([4, 1, 1], 3),
      beta: weight([4, 1, 1], 4),
      mask: {
        type: 'float32',
        shape: [1, 1, 12, 12],
        data: Float32Array.from({ length: 144 }, (_, i) => (i % 2) * -1e9),
      },
    },
  };
  test('is no scale of a Resize, no limit of a Clip, no factor, no mask, and nothing before the first layer', () => {
    expect(trainedOf(convolved)).toEqual(['kernel', 'gamma', 'beta']);
  });

  test('is no factor of two axes, which is reported', () => {
    const parts: Parts = {
      ...perceptron,
      nodes: [...perceptron.nodes, node('Mul', ['y', 'scale'], ['z'])],
      outputs: ['z'],
      tensors: { ...perceptron.tensors, scale: weight([5, 2], 6) },
    };
    const { report } = importModel(modelOf(parts), batch);
    expect(report.constants).toEqual([{ name: 'scale', shape: [5, 2], operator: 'Mul' }]);
    expect(names(report.trained)).toHaveLength(4);
  });

  test('is an embedding that the data choose from', () => {
    const parts: Parts = {
      inputs: [value('tokens', [2, 4], 'int64')],
      outputs: ['y'],
      nodes: [node('Gather', ['table', 'tokens'], ['e']), node('MatMul', ['e', 'w'], ['y'])],
      tensors: { table: weight([10, 3], 1), w: weight([3, 2], 2) },
    };
    expect(trainedOf(parts)).toEqual(['table', 'w']);
  });

  test('is held by Constant nodes too', () => {
    const { 'first.weight': held, ...others } = perceptron.tensors!;
    const constant = node('Constant', [], ['first.weight'], { value: { kind: 'tensor', value: held! } });
    expect(
      trainedOf({ ...perceptron, nodes: [constant, ...perceptron.nodes], tensors: others }, batch),
    ).toContain('first.weight');
  });

  test('are no ones and zeros in place of a scale and bias that a normalisation does not have', () => {
    const parts: Parts = {
      ...convolved,
      nodes: [
        node('Conv', ['x', 'kernel', ''], ['c']),
        node('InstanceNormalization', ['c', 'val_1', 'val_2'], ['n']),
        node('InstanceNormalization', ['n', 'norm.weight', 'norm.bias'], ['y']),
      ],
      tensors: {
        kernel: weight([4, 3, 3, 3], 2),
        val_1: filled([4], 1),
        val_2: filled([4], 0),
        'norm.weight': filled([4], 1),
        'norm.bias': filled([4], 0),
      },
    };
    expect(trainedOf(parts)).toEqual(['kernel', 'norm.weight', 'norm.bias']);
  });

  test('are none where batch normalisation has no scale and bias, and are its statistics', () => {
    const parts: Parts = {
      ...convolved,
      nodes: [
        node('Conv', ['x', 'kernel', ''], ['c']),
        node('BatchNormalization', ['c', 'val_1', 'val_2', 'mean', 'val_1'], ['y']),
      ],
      tensors: {
        kernel: weight([4, 3, 3, 3], 2),
        ...{ val_1: filled([4], 1), val_2: filled([4], 0), mean: filled([4], 0) },
      },
    };
    const { report } = importModel(modelOf(parts));
    expect(names(report.trained)).toEqual(['kernel']);
    expect(report.buffers).toHaveLength(2);
  });

  test('are no zeros that fill up channels', () => {
    const zeros: Attribute = { kind: 'tensor', value: filled([2, 2, 6, 6], 0) };
    const parts: Parts = {
      ...convolved,
      nodes: [
        node('Conv', ['x', 'kernel', ''], ['c']),
        node('Constant', [], ['/layer2/Constant_output_0'], { value: zeros }),
        node('Concat', ['c', '/layer2/Constant_output_0', 'token'], ['y'], { axis: int(1) }),
      ],
      tensors: { kernel: weight([4, 3, 3, 3], 2), token: filled([2, 1, 6, 6], 0) },
    };
    expect(trainedOf(parts)).toEqual(['kernel', 'token']);
  });

  test('is a bias of zeros that the file holds', () => {
    const held: Attribute = { kind: 'tensor', value: filled([4], 0) };
    const parts: Parts = {
      ...convolved,
      nodes: [node('Constant', [], ['bias'], { value: held }), node('Conv', ['x', 'kernel', 'bias'], ['y'])],
      tensors: { kernel: weight([4, 3, 3, 3], 2) },
    };
    expect(trainedOf(parts)).toEqual(['kernel', 'bias']);
  });

  test.each(['value', 'initializer'] as const)(
    'is not what lies in a branch, as %s, which is said',
    (where) => {
      const held = weight([4, 2], 3);
      const constant = node('Constant', [], ['inner'], { value: { kind: 'tensor', value: held } });
      const branch = graphOf({
        ...{ inputs: [], outputs: ['p'] },
        nodes: [...(where === 'value' ? [constant] : []), node('MatMul', ['h', 'inner'], ['p'])],
        tensors: where === 'initializer' ? { inner: held } : {},
      });
      const then: Attribute = { kind: 'graph', value: branch };
      const parts: Parts = {
        ...perceptron,
        nodes: [
          ...perceptron.nodes.slice(0, 1),
          node('If', ['always'], ['y'], { then_branch: then, else_branch: then }),
        ],
        tensors: { ...perceptron.tensors, always: { type: 'bool', shape: [], data: Uint8Array.of(1) } },
      };
      const { report } = importModel(modelOf(parts), batch);
      expect(names(report.trained)).toEqual(['first.weight', 'first.bias']);
      expect(report.warnings).toEqual([expect.stringMatching(/^y\/inner: inside a function or a branch/)]);
    },
  );

  test('is not what is to be frozen', () => {
    const { report, parameters } = importModel(modelOf(perceptron), {
      ...batch,
      freeze: (name) => name.startsWith('first.'),
    });
    expect(names(report.trained)).toEqual(['second.weight', 'second.bias']);
    expect(names(report.frozen)).toEqual(['first.weight', 'first.bias']);
    expect(parameters.filter(({ trainable }) => !trainable)).toHaveLength(2);
  });
});

/** One tensor of ones as the scale of three normalisations, one of zeros as their bias. */
const merged: Parts = {
  inputs: [value('x', [2, 4])],
  outputs: ['y'],
  nodes: [
    node('LayerNormalization', ['x', 'ones', 'zeros'], ['a']),
    node('MatMul', ['a', 'w'], ['b']),
    node('LayerNormalization', ['b', 'ones', 'zeros'], ['c']),
    node('MatMul', ['c', 'w'], ['d']),
    node('Identity', ['ones'], ['last.weight']),
    node('LayerNormalization', ['d', 'last.weight', 'zeros'], ['y']),
  ],
  tensors: { ones: filled([4], 1), zeros: filled([4], 0), w: weight([4, 4], 1) },
};

describe('a tensor that is used several times', () => {
  test('is split where it is a vector, and stays shared where it is a matrix', () => {
    const { report } = importModel(modelOf(merged));
    expect(names(report.trained).sort()).toEqual(
      ['ones', 'ones@c', 'last.weight', 'zeros', 'zeros@c', 'zeros@y', 'w'].sort(),
    );
    expect(report.split.map(({ source, uses }) => [source, uses])).toEqual([
      ['ones', 3],
      ['zeros', 3],
    ]);
    expect(report.shared).toEqual([{ source: 'w', shape: [4, 4], uses: 2 }]);
  });

  test('is split or shared as the caller says', () => {
    const { report } = importModel(modelOf(merged), { split: (name) => name === 'w' });
    expect(names(report.trained).sort()).toEqual(['ones', 'w', 'w@d', 'zeros']);
    expect(report.split.map(({ source }) => source)).toEqual(['w']);
  });

  test('keeps its values where it is no weight', () => {
    const both: Parts = {
      ...merged,
      nodes: [
        ...merged.nodes.slice(0, -1),
        node('LayerNormalization', ['d', 'last.weight', 'zeros'], ['l']),
        node('Max', ['l', 'zeros'], ['y']),
      ],
    };
    const { parameters, graph } = importModel(modelOf(both));
    expect(parameters.filter(({ source }) => source === 'zeros').map(({ name }) => name)).toEqual([
      'zeros@a',
      'zeros@c',
      'zeros@l',
    ]);
    expect(graph.nodes.at(-1)!.inputs).toEqual(['l', 'zeros']);
  });
});

describe('batch normalisation', () => {
  const parts: Parts = {
    inputs: [value('x', [4, 3, 2, 2])],
    outputs: ['y'],
    nodes: [
      node('Conv', ['x', 'w'], ['c']),
      node('BatchNormalization', ['c', 'scale', 'bias', 'mean', 'var'], ['y']),
    ],
    tensors: {
      w: weight([2, 3, 1, 1], 1),
      scale: filled([2], 1),
      bias: filled([2], 0),
      mean: filled([2], 0),
      var: filled([2], 1),
    },
  };

  test('has running statistics that are buffers', () => {
    const { report, parameters } = importModel(modelOf(parts));
    expect(names(report.buffers)).toEqual(['mean', 'var']);
    expect(parameters.find(({ name }) => name === 'mean')!.trainable).toBe(false);
  });

  test('that was folded when the model was exported is reported, with what to do', () => {
    const folded: Parts = {
      ...parts,
      producer: 'pytorch',
      nodes: [node('Conv', ['x', 'onnx::Conv_12', 'onnx::Conv_13'], ['y'])],
      tensors: { 'onnx::Conv_12': weight([2, 3, 1, 1], 1), 'onnx::Conv_13': weight([2], 2) },
    };
    const { report } = importModel(modelOf(folded));
    expect(report.folded).toEqual(['y']);
    expect(report.warnings.join()).toContain('TrainingMode.TRAINING');
  });
});
