/** Models that cannot be trained, and what is said of them. */
import { describe, expect, test } from 'vitest';
import { examineModel, importModel } from '../../../graphs/imported/import-model.js';
import {
  batch,
  filled,
  graphOf,
  modelOf,
  node,
  type Parts,
  perceptron,
  trainedOf,
  unranked,
  weight,
} from './models.js';

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

test('an output that nothing makes is found by examining, too', () => {
  const bytes = modelOf({ ...perceptron, outputs: ['y', 'z'] });
  expect(() => examineModel(bytes, batch)).toThrow('the network has no value "z"');
});
