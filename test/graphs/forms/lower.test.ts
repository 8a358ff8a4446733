import { describe, expect, test } from 'vitest';
import { type ChooseForm, fastForms, plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import { type Graph, GraphError } from '../../../graphs/onnx/types.js';
import { bindSizes } from '../../../graphs/passes/bind-sizes.js';
import { fuseConvRelu } from '../../../graphs/passes/fuse-conv-relu.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { protoModel, protoNode, protoTensor, protoValue } from '../onnx-proto.js';
import { noise, relativeError } from '../run.js';

const BLOCKED = { block: 16, chunk: 64 };
const PASSES: readonly (readonly [string, (graph: Graph) => Graph])[] = [
  ['lower', (graph) => lower(graph, { choose: plainForms })],
  ['bindSizes', (graph) => bindSizes(graph, {})],
  ['both', (graph) => lower(fuseConvRelu(bindSizes(graph, {})), { choose: fastForms })],
];

async function run(bytes: Uint8Array, feeds: Record<string, Float32Array>, shape: readonly number[]) {
  const session = await nodeEngine.load(bytes, { threads: 1 });
  const tensors = Object.entries(feeds).map(
    ([name, data]) => [name, { type: 'float32', shape, data }] as const,
  );
  const result = await session.run(Object.fromEntries(tensors));
  await session.release();
  return Object.fromEntries(
    Object.entries(result).map(([name, { data }]) => [name, [...(data as Float32Array)]]),
  );
}

/** Nodes that make outputs themselves: one that others read too, one of two outputs, one that is not in order, an input, a stored tensor. */
const unlike = protoModel({
  inputs: [protoValue('x', [2, 2])],
  initializers: [protoTensor('w', [2, 2], [1, 2, 3, 4])],
  nodes: [
    protoNode('MatMul', ['x', 'w'], ['product']),
    protoNode('Relu', ['product'], ['positive']),
    protoNode('Add', ['positive', 'x'], ['sum']),
    protoNode('Neg', ['sum'], ['unread']),
  ],
  outputs: ['sum', 'product', 'w'].map((name) => protoValue(name, [2, 2])),
});

describe.each(PASSES)('%s, given a graph of another exporter', (_, pass) => {
  test('keeps the nodes that make outputs, whatever they are, and the outputs’ order', async () => {
    const { graph } = decodeModel(unlike);
    const x = Float32Array.of(1, -2, 3, 0.5);
    const passed = pass(graph);
    expect(passed.outputs.map(({ name }) => name)).toEqual(['sum', 'product', 'w']);
    expect(await run(encodeModel(toModel(passed)), { x }, [2, 2])).toEqual(await run(unlike, { x }, [2, 2]));
  });

  test('keeps an output that is an input, and stored tensors that are listed among the inputs', () => {
    const bytes = protoModel({
      inputs: [protoValue('x', [2]), protoValue('w', [2])],
      initializers: [protoTensor('w', [2], [1, 2])],
      nodes: [protoNode('Add', ['x', 'w'], ['y'])],
      outputs: [protoValue('y', [2]), protoValue('x', [2])],
    });
    const passed = pass(decodeModel(bytes).graph);
    expect(passed.outputs.map(({ name }) => name)).toEqual(['y', 'x']);
    expect(passed.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(passed.nodes.map(({ operator }) => operator)).toEqual(['Add']);
  });

  test('keeps what only the body of a loop reads', async () => {
    const g = new GraphBuilder('g');
    const x = g.input('x', 'float32', [2]);
    const doubled = g.add('Mul', [
      x,
      g.initializer('two', { type: 'float32', shape: [], data: Float32Array.of(2) }),
    ]);
    const body = new GraphBuilder('body', { outer: g });
    body.input('trip', 'int64', []);
    body.output('go_on', body.input('go', 'bool', []));
    body.output('next', body.add('Add', [body.input('sum', 'float32', [2]), doubled]));
    const start = g.add('Expand', [g.scalar(0), g.integers([2])]);
    const [y] = g.addMany(
      'Loop',
      [g.scalar(3, 'int64'), g.scalar(1, 'bool'), start],
      { body: body.build() },
      1,
    );
    g.output('y', y!);
    const bytes = encodeModel(toModel(g.build()));
    const passed = encodeModel(toModel(pass(decodeModel(bytes).graph)));
    expect(await run(passed, { x: Float32Array.of(1, 2) }, [2])).toEqual({ y: [6, 12] });
  });

  test.each([
    ['an unknown operator', protoNode('Det', ['x'], ['y']), 18, 'Det at "y" is an unknown operator'],
    [
      'an operator of another domain with the name of one that is known',
      protoNode('Relu', ['x'], ['y'], [], 'com.example'),
      18,
      'com.example:Relu at "y" is an unknown operator',
    ],
    [
      'an operator that meant something else in the version of the file',
      protoNode('Softmax', ['x'], ['y']),
      11,
      'Softmax at "y" is of operator set 11: it is understood from 13 on',
    ],
    [
      'a value that nothing makes',
      protoNode('Relu', ['z'], ['y']),
      18,
      '"z" is read in graph "g", but nothing',
    ],
    ['too many outputs', protoNode('Relu', ['x'], ['y', 'z']), 18, 'gives 1 outputs, 2 are requested'],
  ])('refuses %s by name', (_case, node, opset, message) => {
    const bytes = protoModel({
      nodes: [node],
      inputs: [protoValue('x', [2, 2])],
      outputs: [protoValue('y', [2, 2])],
      opset,
      domains: ['com.example'],
    });
    const attempt = () => pass(decodeModel(bytes).graph);
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow(message);
  });

  const window = (attributes: Record<string, string | number | readonly number[]>) =>
    Object.entries(attributes).map(([name, value]) =>
      typeof value === 'string'
        ? { name, type: 3, s: new TextEncoder().encode(value) }
        : typeof value === 'number'
          ? { name, type: 2, i: value }
          : { name, type: 7, ints: value },
    );
  const pooling = (attributes: Parameters<typeof window>[0]) =>
    protoModel({
      nodes: [protoNode('MaxPool', ['x'], ['y'], window({ kernel_shape: [2], strides: [2], ...attributes }))],
      inputs: [protoValue('x', [1, 2, 8])],
      outputs: [protoValue('y', [1, 2, 4])],
    });

  test('takes them on a convolution with a ReLU, too', async () => {
    const bytes = protoModel({
      nodes: [
        protoNode('Conv', ['x', 'w', 'b'], ['c'], window({ kernel_shape: [1], auto_pad: 'NOTSET' })),
        protoNode('Relu', ['c'], ['y']),
      ],
      inputs: [protoValue('x', [1, 2, 8])],
      initializers: [protoTensor('w', [2, 2, 1], [1, 2, 3, 4]), protoTensor('b', [2], [0.5, -0.5])],
      outputs: [protoValue('y', [1, 2, 8])],
    });
    const x = noise(16, 1);
    const passed = encodeModel(toModel(pass(decodeModel(bytes).graph)));
    expect(await run(passed, { x }, [1, 2, 8])).toEqual(await run(bytes, { x }, [1, 2, 8]));
  });

  test('takes attributes that it does not know where they change nothing', async () => {
    const bytes = pooling({ auto_pad: 'NOTSET', ceil_mode: 0, dilations: [1], storage_order: 0 });
    const passed = encodeModel(toModel(pass(decodeModel(bytes).graph)));
    const x = noise(16, 1);
    expect(await run(passed, { x }, [1, 2, 8])).toEqual(await run(bytes, { x }, [1, 2, 8]));
  });

  test.each([
    [{ auto_pad: 'SAME_UPPER' }, 'attribute "auto_pad" is "SAME_UPPER": only "NOTSET" is supported'],
    [{ ceil_mode: 1 }, 'attribute "ceil_mode" is 1: only 0 is supported'],
    [{ size: 3 }, 'unknown attribute "size"; known: kernel_shape, strides, pads'],
    [{ strides: 2 }, 'attribute "strides" is of kind int, not ints'],
  ])('refuses an attribute by name and place: %j', (attributes, message) => {
    const attempt = () => pass(decodeModel(pooling(attributes)).graph);
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow(`MaxPool at "y": ${message}`);
  });

  test('knows the second name of the standard’s domain', () => {
    const bytes = protoModel({
      nodes: [protoNode('Relu', ['x'], ['y'], [], 'ai.onnx')],
      inputs: [protoValue('x', [2])],
      outputs: [protoValue('y', [2])],
    });
    expect(pass(decodeModel(bytes).graph).nodes.map(({ domain, operator }) => [domain, operator])).toEqual([
      ['', 'Relu'],
    ]);
  });
});

/** y = Relu(Conv(x)), channels in whole blocks. */
function convolution(): Graph {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [1, 16, 4, 4, 4]);
  const data = noise(16 * 16 * 27, 4);
  const w = g.initializer('w', { type: 'float32', shape: [16, 16, 3, 3, 3], data });
  g.output(
    'y',
    g.add('Conv', [x, w], { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1], strides: [1, 1, 1] }),
  );
  return g.build();
}

test('a graph that was lowered is left as it is when it is lowered again', () => {
  const once = lower(convolution(), { choose: fastForms, blocked: BLOCKED });
  expect(
    once.nodes.some(({ domain, operator }) => domain === 'com.microsoft.nchwc' && operator === 'Conv'),
  ).toBe(true);
  const again = lower(once, { choose: fastForms, blocked: BLOCKED });
  expect(again.nodes).toEqual(once.nodes);
});

test('a normalisation and its gradient take their feature map as it lies', () => {
  const formsFor = (kernel: number) => {
    const g = new GraphBuilder('g');
    const shape = [1, 16, 4, 4, 4];
    const window = { kernel_shape: new Array(3).fill(kernel), pads: new Array(6).fill((kernel - 1) / 2) };
    const w = g.input('w', 'float32', [16, 16, ...window.kernel_shape]);
    const [scale, bias] = ['scale', 'bias'].map((name) => g.input(name, 'float32', [16]));
    const c = g.add('Conv', [g.input('x', 'float32', shape), w], { ...window, strides: [1, 1, 1] });
    const [y, , variance, centred] = g.addMany('BatchNorm', [c, scale!, bias!], {}, 4);
    const dy = g.input('dy', 'float32', shape);
    const [dx] = g.addMany('BatchNormGrad', [dy, y!, centred!, scale!, variance!], {}, 3);
    g.output('dx', dx!);
    const chosen: Record<string, string> = {};
    lower(g.build(), {
      choose: (operator, call) => {
        chosen[operator] = fastForms(operator, call);
        return chosen[operator];
      },
      blocked: BLOCKED,
    });
    return chosen;
  };
  expect(formsFor(3)).toEqual({ Conv: 'blocked', BatchNorm: 'blocked', BatchNormGrad: 'blocked' });
  expect(formsFor(5)).toEqual({ Conv: 'plain', BatchNorm: 'plain', BatchNormGrad: 'plain' });
});

test('what a body computes is lowered too', () => {
  const g = new GraphBuilder('g');
  const dy = g.input('dy', 'float32', [1, 2, 4, 4, 4]);
  const w = g.input('w', 'float32', [2, 2, 1, 1, 1]);
  const branch = (name: string) => {
    const body = new GraphBuilder(name, { outer: g });
    const window = { kernel_shape: [1, 1, 1], strides: [1, 1, 1], pads: [0, 0, 0, 0, 0, 0] };
    body.output(
      `${name}.dx`,
      body.add('ConvInputGrad', [dy, w], { ...window, input_shape: [1, 2, 4, 4, 4] }),
    );
    return body.build();
  };
  const attributes = { then_branch: branch('then'), else_branch: branch('else') };
  g.output('dx', g.add('If', [g.input('yes', 'bool', [])], attributes));
  const { nodes } = lower(g.build(), { choose: plainForms });
  const inner = Object.values(nodes[0]!.attributes).flatMap(({ value }) => (value as Graph).nodes);
  expect(inner.map(({ domain }) => domain)).not.toContain('parts2whole');
  expect(inner.map(({ operator }) => operator)).toContain('Conv');
});

test('a node without a name can take any form, and names that forms make up are free', async () => {
  const bytes = protoModel({
    inputs: [protoValue('x', [1, 16, 4, 4, 4])],
    initializers: [protoTensor('w', [16, 16, 1, 1, 1], [...noise(256, 1)])],
    nodes: [
      protoNode('Conv', ['x', 'w'], ['c']),
      protoNode('Neg', ['c'], ['c/plain/Reshape']),
      protoNode('Relu', ['c/plain/Reshape'], ['y']),
    ],
    outputs: [protoValue('y', [1, 16, 4, 4, 4])],
  });
  const blocked: ChooseForm = (operator, call) => fastForms(operator, call);
  const lowered = lower(decodeModel(bytes).graph, { choose: blocked, blocked: BLOCKED });
  expect(lowered.nodes.filter(({ outputs }) => outputs.includes('c/plain/Reshape'))).toHaveLength(1);
  const x = noise(16 * 64, 2);
  const plain = lower(decodeModel(bytes).graph, { choose: plainForms });
  const shape = [1, 16, 4, 4, 4];
  const [got, expected] = [
    await run(encodeModel(toModel(plain)), { x }, shape),
    await run(bytes, { x }, shape),
  ];
  expect(relativeError(got.y!, expected.y!)).toBeLessThan(1e-6);
});
