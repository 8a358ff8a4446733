/** Operators that a model brings itself, written with an independent reading of onnx.proto, whose version is older than these. */
import onnxProto from 'onnx-proto';
import { expect, test } from 'vitest';
import { examineModel, importModel } from '../../../graphs/imported/import-model.js';
import { storedField } from '../../../graphs/onnx/messages.js';
import type { Attribute } from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { openModelTraining } from '../../../src/train/model-training.js';
import { noise, relativeError } from '../run.js';
import { batch, modelOf, node, type Parts, perceptron, weight } from './models.js';

const { FunctionProto, NodeProto, OperatorSetIdProto } = onnxProto.onnx;
const [FUNCTIONS, OPSETS, DOMAIN, OVERLOAD] = [25, 9, 10, 13] as const;
const FLOAT = 1;
const text = (value: string) => new TextEncoder().encode(value);

/** Scaled(x, w; alpha) = LeakyRelu(x · w), with the slope `alpha`. */
const body = [
  { opType: 'MatMul', input: ['a', 'b'], output: ['product'] },
  {
    opType: 'LeakyRelu',
    input: ['product'],
    output: ['c'],
    attribute: [{ name: 'alpha', refAttrName: 'slope', type: FLOAT }],
  },
];

function modelWith(
  nodes: readonly object[],
  opset = 18,
  parts: Parts = calling(),
  overload = '',
): Uint8Array {
  const head = FunctionProto.encode(
    FunctionProto.fromObject({ name: 'Scaled', input: ['a', 'b'], output: ['c'] }),
  );
  const version = OperatorSetIdProto.encode(
    OperatorSetIdProto.fromObject({ domain: '', version: opset }),
  ).finish();
  const called = [
    head.finish(),
    ...nodes.map((n) => storedField(7, NodeProto.encode(NodeProto.fromObject(n)).finish())),
    storedField(OPSETS, version),
    storedField(DOMAIN, text('org.example')),
    ...(overload ? [storedField(OVERLOAD, text(overload))] : []),
  ];
  return Uint8Array.from([
    ...modelOf(parts),
    ...storedField(FUNCTIONS, Uint8Array.from(called.flatMap((b) => [...b]))),
  ]);
}

const calling = (slope: Attribute = { kind: 'float', value: 0.25 }): Parts => ({
  ...perceptron,
  nodes: [
    node('Scaled', ['x', 'first.weight'], ['h'], { slope }, 'org.example'),
    node('Scaled', ['h', 'second.weight'], ['y'], { slope }, 'org.example'),
  ],
});

test('functions are replaced by what they compute, with the attributes of each call', () => {
  const { graph, report } = importModel(modelWith(body), batch);
  const operators = graph.nodes.map(({ operator }) => operator).filter((operator) => operator !== 'Identity');
  expect(operators).toEqual(['MatMul', 'LeakyRelu', 'MatMul', 'LeakyRelu']);
  expect(graph.nodes[1]!.attributes).toEqual({ alpha: { kind: 'float', value: 0.25 } });
  expect(report.trained.map(({ name }) => name)).toEqual(['first.weight', 'second.weight']);
});

test('one of several functions of a name is refused', () => {
  expect(() => importModel(modelWith(body, 18, calling(), 'half'), batch)).toThrow(
    /the function org\.example:Scaled has an overload, "half"/,
  );
});

test('values inside a function are not those of the same name outside', async () => {
  const parts = {
    ...perceptron,
    outputs: ['z'],
    tensors: { ...perceptron.tensors, 'second.weight': weight([4, 3], 5) },
  };
  const ends = [node('Neg', ['x'], ['h/product']), node('Add', ['y', 'h/product'], ['z'])];
  const bytes = modelWith(body, 18, { ...parts, nodes: [ends[0]!, ...calling().nodes, ends[1]!] });
  const alpha = { kind: 'float', value: 0.25 } as const;
  const scaled = (x: string, w: string, y: string) => [
    node('MatMul', [x, w], [`product of ${y}`]),
    node('LeakyRelu', [`product of ${y}`], [y], { alpha }),
  ];
  const plain = [...scaled('x', 'first.weight', 'h'), ...scaled('h', 'second.weight', 'y')];
  const x = { type: 'float32', shape: [5, 3], data: noise(15, 6) } as const;
  const session = await nodeEngine.load(modelOf({ ...parts, nodes: [ends[0]!, ...plain, ends[1]!] }), {
    threads: 1,
  });
  const { z } = await session.run({ x });
  await session.release();
  const training = await openModelTraining({
    ...{ engine: nodeEngine, model: bytes, threads: 1, ...batch },
    loss: { name: 'meanSquaredError' },
  });
  const { prediction } = await training.evaluate({ x, target: { ...x, data: new Float32Array(15) } });
  await training.release();
  expect(relativeError(prediction!.data as Float32Array, z!.data as Float32Array)).toBeLessThan(1e-6);
});

test.each([
  ['Dropout', { opType: 'Dropout', input: ['product', 'ratio', 'on'], output: ['c'] }],
  [
    'BatchNormalization',
    {
      opType: 'BatchNormalization',
      input: ['product', 'one', 'one', 'one', 'one'],
      output: ['c', 'mean', 'variance'],
      attribute: [{ name: 'training_mode', i: 1, type: 2 }],
    },
  ],
])(
  'a %s as in training is refused in a function, where it would stay so in the file that is written',
  (operator, layer) => {
    const constant = (output: string, t: object) => ({
      ...{ opType: 'Constant', output: [output] },
      attribute: [{ name: 'value', type: 4, t }],
    });
    const nodes = [
      body[0]!,
      constant('ratio', { dataType: 1, floatData: [0.5] }),
      constant('on', { dataType: 9, int32Data: [1] }),
      constant('one', { dataType: 1, dims: [4], floatData: [1, 1, 1, 1] }),
      layer,
    ];
    const [first] = calling().nodes;
    const once = { ...perceptron, nodes: [first!, node('MatMul', ['h', 'second.weight'], ['y'])] };
    const reason = expect.stringContaining('inside a function or a branch');
    expect(examineModel(modelWith(nodes, 18, once), batch).unsupported).toMatchObject([{ operator, reason }]);
  },
);

test.each<[what: string, bytes: Uint8Array, reason: string]>([
  [
    'written in another version of the standard',
    modelWith(body, 13),
    'the function is written in version 13 of the standard, the model in 18',
  ],
  [
    'that calls itself',
    modelWith([{ opType: 'Scaled', domain: 'org.example', input: ['a', 'b'], output: ['c'] }]),
    'the function calls itself',
  ],
])('a function %s is refused', (_, bytes, reason) => {
  expect(examineModel(bytes, batch).unsupported).toMatchObject([{ operator: 'Scaled', reason, count: 2 }]);
});

test('loops and branches inside a function are those of its call', () => {
  const [INT64, BOOL, TENSOR, GRAPH] = [7, 9, 4, 5] as const;
  const constant = (output: string, t: object) => ({
    ...{ opType: 'Constant', output: [output] },
    attribute: [{ name: 'value', type: TENSOR, t }],
  });
  const scalar = (name: string, elemType: number) => ({ name, type: { tensorType: { elemType } } });
  const product = { opType: 'MatMul', input: ['a', 'b'], output: ['product'] };
  const isOn = constant('on', { dataType: BOOL, int32Data: [1] });
  const turn = {
    ...{ name: 'turn', input: [scalar('i', INT64), scalar('before', BOOL), scalar('s', FLOAT)] },
    output: [scalar('after', BOOL), scalar('twice', FLOAT)],
    node: [
      { opType: 'Add', input: ['s', 's'], output: ['twice'] },
      { opType: 'Identity', input: ['before'], output: ['after'] },
    ],
  };
  const looping = [
    ...[product, isOn, constant('turns', { dataType: INT64, int64Data: [2] })],
    {
      ...{ opType: 'Loop', input: ['turns', 'on', 'product'], output: ['c'] },
      attribute: [{ name: 'body', type: GRAPH, g: turn }],
    },
  ];
  const branch = (name: string) => ({
    ...{ name, type: GRAPH },
    g: {
      ...{ name, output: [scalar(`${name}_made`, FLOAT)] },
      initializer: [{ name: 'k', dataType: FLOAT, floatData: [2] }],
      node: [{ opType: 'Mul', input: ['product', 'k'], output: [`${name}_made`] }],
    },
  });
  const branching = [
    ...[product, isOn],
    {
      ...{ opType: 'If', input: ['on'], output: ['c'] },
      attribute: ['then_branch', 'else_branch'].map(branch),
    },
  ];
  for (const nodes of [looping, branching])
    expect(examineModel(modelWith(nodes), batch)).toMatchObject({ unsupported: [], unexamined: 0 });
});
