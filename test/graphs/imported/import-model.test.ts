import { describe, expect, test } from 'vitest';
import { examineModel, importModel } from '../../../graphs/imported/import-model.js';
import type { ImportOptions } from '../../../graphs/index.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import type { Attribute, Tensor } from '../../../graphs/onnx/types.js';
import { gradientGraph } from '../../../graphs/programs/training.js';
import {
  filled,
  graphOf,
  integers,
  modelOf,
  node,
  type Parts,
  perceptron,
  unranked,
  value,
  weight,
} from './models.js';

const int = (number: number): Attribute => ({ kind: 'int', value: number });

const batch = { inputs: { x: [5, 3] } };
const names = (tensors: readonly { readonly name: string }[]) => tensors.map(({ name }) => name);
const trainedOf = (parts: Parts, options: ImportOptions = {}) =>
  names(importModel(modelOf(parts), options).report.trained);

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

test('an output that nothing makes is found by examining, too', () => {
  const bytes = modelOf({ ...perceptron, outputs: ['y', 'z'] });
  expect(() => examineModel(bytes, batch)).toThrow('the network has no value "z"');
});

describe('what is not supported', () => {
  test('is listed all at once, by operator, reason and count', () => {
    const nodes = [
      ...perceptron.nodes.slice(0, 1),
      node('Frobnicate', ['h'], ['f1']),
      node('Frobnicate', ['f1'], ['f2']),
      node('Crop', ['f2'], ['f3'], {}, 'com.example'),
      node('RandomNormalLike', ['h'], ['f4']),
      node('Exp', ['f4'], ['f5']),
      node('DequantizeLinear', ['f5', 'scale'], ['y']),
    ];
    const tensors = { ...perceptron.tensors, scale: filled([1], 1) };
    const bytes = modelOf({ ...perceptron, nodes, tensors });
    expect(examineModel(bytes, batch).unsupported).toMatchObject([
      { operator: 'Frobnicate', count: 2, node: 'f1', reason: 'the operator is not supported' },
      { operator: 'Crop', count: 1, reason: 'the operator set "com.example" is not supported' },
      { operator: 'DequantizeLinear', count: 1, reason: expect.stringContaining('quantise it again') },
      { operator: 'RandomNormalLike', count: 1, reason: expect.stringContaining('cannot be turned off') },
    ]);
    expect(() => importModel(bytes, batch)).toThrow(
      'this model cannot be trained:\n  Frobnicate (2, such as "f1"): the operator is not supported\n  Crop',
    );
  });

  test('says how much could not be examined behind it, where the file has no sizes', () => {
    const nodes = [
      ...perceptron.nodes.slice(0, 1),
      node('Frobnicate', ['h'], ['f1']),
      node('Exp', ['f1'], ['f2']),
      node('TopK', ['f2', 'two'], ['y']),
    ];
    const tensors = { ...perceptron.tensors, two: filled([1], 2) };
    const bytes = modelOf({ ...perceptron, nodes, tensors });
    expect(examineModel(bytes, batch)).toMatchObject({
      unsupported: [{ operator: 'Frobnicate' }],
      unexamined: 2,
    });
    expect(() => importModel(bytes, batch)).toThrow(
      /not supported\n {2}2 nodes behind these were not examined/,
    );
    expect(examineModel(modelOf(perceptron), batch).unexamined).toBe(0);
  });

  test('does not make one number of a value behind it whose shape the file does not say', () => {
    const nodes = [
      ...perceptron.nodes.slice(0, 1),
      node('Frobnicate', ['h'], ['f']),
      node('MatMul', ['f', 'second.weight'], ['y']),
    ];
    const bytes = unranked({ ...perceptron, nodes, outputs: ['f', 'y'] }, 'f');
    expect(examineModel(bytes, batch)).toMatchObject({
      unsupported: [{ operator: 'Frobnicate' }],
      unexamined: 1,
    });
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('is the operator %s', (operator) => {
    const nodes = [...perceptron.nodes, node(operator, ['zero'], ['z'])];
    const bytes = modelOf({ ...perceptron, nodes, tensors: { ...perceptron.tensors, zero: filled([1], 0) } });
    expect(examineModel(bytes, batch).unsupported).toMatchObject([
      { operator, count: 1, reason: 'the operator is not supported' },
    ]);
  });

  test.each<[what: string, change: (parts: Parts) => Parts, message: string]>([
    [
      'a loop',
      (p) => ({
        ...p,
        nodes: [
          ...p.nodes,
          node('Loop', ['', ''], ['l'], {
            body: { kind: 'graph', value: graphOf({ inputs: [], outputs: [], nodes: [] }) },
          }),
        ],
      }),
      'how often the loop runs depends on the data',
    ],
    [
      'a cycle',
      (p) => ({ ...p, nodes: [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), ...p.nodes] }),
      'the graph has a cycle: Add at "a", Relu at "b" wait for one another',
    ],
    [
      'a value that nothing makes',
      (p) => ({ ...p, nodes: [...p.nodes, node('Relu', ['gone'], ['z'])] }),
      'nothing makes "gone" of Relu at "z"',
    ],
    [
      'a name that two values have',
      (p) => ({ ...p, nodes: [...p.nodes, node('Relu', ['h'], ['m'])] }),
      'two values have the name "m"',
    ],
    [
      'a model without weights',
      (p) => ({ ...p, nodes: [node('Relu', ['x'], ['y'])], tensors: {} }),
      'nothing to train',
    ],
    [
      'shapes that do not fit',
      (p) => ({ ...p, tensors: { ...p.tensors, 'first.weight': weight([2, 4], 1) } }),
      'Gemm (1, such as "h"): (inputs [5,3], [2,4], [4]): inner sizes of [5,3] and [2,4] differ',
    ],
  ])('is %s', (_, change, message) => {
    expect(() => importModel(modelOf(change(perceptron)), batch)).toThrow(message);
  });

  test('is no order in which nodes come before those they read from', () => {
    expect(trainedOf({ ...perceptron, nodes: perceptron.nodes.toReversed() }, batch)).toHaveLength(4);
  });
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
