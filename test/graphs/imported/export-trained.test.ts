import onnxProto from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { exportTrained } from '../../../graphs/imported/export-trained.js';
import { type ImportedModel, importModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { toBfloat16, toFloat16 } from '../../../graphs/onnx/float16.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import { type Attribute, type ExternalTensor, sizeOf, type Tensor } from '../../../graphs/onnx/types.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import { stepGraph } from '../../../graphs/programs/training.js';
import type { EngineTensor, Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { noise, relativeError, runGraph } from '../run.js';
import { importCases } from './golden.js';
import { batch, graphOf, modelOf, node, type Parts, perceptron, value, weight } from './models.js';

const { FunctionProto, ModelProto } = onnxProto.onnx;
const floats = (shape: readonly number[], data: Float32Array): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});

/** Other values than those of the file; variances stay positive. */
const trained = ({ parameters }: ImportedModel): Map<string, Float32Array> =>
  new Map(
    parameters.map(({ name, values }, i) => {
      const change = noise(values.length, 50 + i, 0.2);
      return [
        name,
        values.map((v, j) => v * (1 + change[j]!) + (name.includes('var') ? 0 : 0.1 * change[j]!)),
      ];
    }),
  );

/** What ONNX Runtime makes of a file. */
async function runFile(bytes: Uint8Array, feeds: Tensors): Promise<EngineTensor> {
  const session = await nodeEngine.load(bytes, { threads: 1 });
  try {
    return Object.values(await session.run(feeds))[0]!;
  } finally {
    await session.release();
  }
}

/** What our own evaluation graph says with the same weights. */
async function evaluated(model: ImportedModel, weights: ReadonlyMap<string, Float32Array>, x: EngineTensor) {
  const own = importedObjective(model, {
    loss: (_, outputs) => ({
      loss: () => Object.values(outputs)[0]!,
      outputs: () => ({ y: Object.values(outputs)[0]! }),
    }),
  });
  const { graph, parameters } = evaluationGraph(own);
  const state = parameters.map(({ name, shape }) => [name, floats(shape, weights.get(name)!)] as const);
  const { y } = await runGraph(graph, { x, ...Object.fromEntries(state) });
  return y!;
}

const shapesOf = (bytes: Uint8Array) =>
  decodeModel(bytes).graph.inputs.map(({ name, shape }) => [name, shape]);

describe.each(importCases.map((c) => [c.name, c] as const))('%s', (_, { bytes, results }) => {
  test('with trained weights computes what was trained, for inputs as open as before', async () => {
    const x = results.get('x') as EngineTensor;
    const model = importModel(bytes, { inputs: { x: x.shape } });
    const weights = trained(model);
    const written = exportTrained(bytes, model, weights);
    const [file, own] = [await runFile(written, { x }), await evaluated(model, weights, x)];
    expect(file.shape).toEqual(own.shape);
    expect(relativeError(file.data as Float32Array, own.data as Float32Array)).toBeLessThan(1e-5);
    expect(shapesOf(written)).toEqual(shapesOf(bytes));
    const [[, [batch]]] = shapesOf(bytes) as [[string, (number | string)[]]];
    const samples = typeof batch === 'string' ? 7 : batch!;
    const shape = [samples, ...x.shape.slice(1)];
    const another = await runFile(written, { x: floats(shape, noise(sizeOf(shape), 3)) });
    expect(another.shape[0]).toBe(samples);
  });
});

const withTensors = (change: (tensor: Tensor) => Tensor): Parts => ({
  ...perceptron,
  tensors: Object.fromEntries(Object.entries(perceptron.tensors!).map(([name, t]) => [name, change(t)])),
});

test.each([
  ['float16', toFloat16],
  ['bfloat16', toBfloat16],
] as const)('weights of %s are trained in float32, and written in their own type', (type, halve) => {
  const half = withTensors((t) => ({ ...t, type, data: halve(t.data as Float32Array) }));
  const bytes = modelOf({ ...half, inputs: [{ ...half.inputs[0]!, type }] });
  const model = importModel(bytes, batch);
  expect(model.inputs[0]!.type).toBe('float32');
  const weights = trained(model);
  const { graph } = decodeModel(exportTrained(bytes, model, weights));
  for (const [name, values] of weights)
    expect(graph.initializers.get(name)).toEqual({
      type,
      shape: perceptron.tensors![name]!.shape,
      data: halve(values),
    });
});

test('what is not known stays as it is, byte by byte', () => {
  const message = ModelProto.decode(modelOf(perceptron));
  message.docString = 'a model';
  message.modelVersion = 7;
  message.domain = 'org.example';
  message.metadataProps = [onnxProto.onnx.StringStringEntryProto.create({ key: 'author', value: 'someone' })];
  message.graph!.docString = 'a graph';
  message.graph!.node![0]!.docString = 'a node';
  message.graph!.initializer![0]!.docString = 'a tensor';
  message.graph!.valueInfo = [onnxProto.onnx.ValueInfoProto.create({ name: 'h', docString: 'hidden' })];
  const bytes = ModelProto.encode(message).finish();
  const model = importModel(bytes, batch);
  const same = new Map(model.parameters.map(({ name, values }) => [name, values]));
  const written = ModelProto.decode(exportTrained(bytes, model, same)).toJSON();
  expect(written).toEqual(ModelProto.decode(bytes).toJSON());
});

test('names that training has itself are other ones in training, and the old ones in the file', async () => {
  const rename = (name: string) =>
    ({ x: 'label', 'first.weight': 'weight', 'first.bias': 'loss', 'second.bias': 'step' })[name] ?? name;
  const bytes = modelOf({
    inputs: perceptron.inputs.map((input) => ({ ...input, name: rename(input.name) })),
    outputs: ['y'],
    nodes: perceptron.nodes.map((n) => ({ ...n, inputs: n.inputs.map(rename) })),
    tensors: Object.fromEntries(Object.entries(perceptron.tensors!).map(([name, t]) => [rename(name), t])),
  });
  const model = importModel(bytes, { inputs: { label: [5, 3] } });
  const objective = importedObjective(model, { loss: { name: 'crossEntropy' } });
  const adam = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;
  const { graph } = stepGraph(objective, { optimizer: adam, clipNorm: 1 });
  const inputs = graph.inputs.map(({ name }) => name);
  expect(inputs).toEqual(
    expect.arrayContaining(['model.label', 'label', 'model.weight', 'model.loss', 'model.step', 'step']),
  );
  expect(() => evaluationGraph(objective)).not.toThrow();
  const weights = trained(model);
  const written = decodeModel(exportTrained(bytes, model, weights)).graph.initializers;
  expect([...written.keys()]).toEqual(['weight', 'loss', 'second.weight', 'step']);
  expect(written.get('step')!.data).toEqual(weights.get('model.step'));
});

test.each<[attribute: string, name: string, of: (held: Tensor) => Attribute]>([
  ['value', 'first.weight', (held) => ({ kind: 'tensor', value: held })],
  ['value_floats', 'first.bias', ({ data }) => ({ kind: 'floats', value: Array.from(data, Number) })],
])('weights that Constant nodes held as `%s` are tensors of the file', (attribute, name, of) => {
  const { [name]: held, ...tensors } = perceptron.tensors!;
  const constant = node('Constant', [], [name], { [attribute]: of(held!) });
  const bytes = modelOf({ ...perceptron, nodes: [constant, ...perceptron.nodes], tensors });
  const model = importModel(bytes, batch);
  const weights = trained(model);
  const { graph } = decodeModel(exportTrained(bytes, model, weights));
  expect(graph.nodes.map(({ operator }) => operator)).not.toContain('Constant');
  expect(graph.initializers.get(name)).toEqual({ ...held, data: weights.get(name) });
});

test('an older file, in which every tensor is an input too, can be opened with new tensors', async () => {
  const identity = node('Identity', ['first.bias'], ['alias']);
  const parts: Parts = {
    ...perceptron,
    nodes: [
      ...perceptron.nodes,
      identity,
      node('MatMul', ['y', 'third'], ['z']),
      node('Add', ['z', 'alias'], ['out']),
    ],
    outputs: ['out'],
    tensors: { ...perceptron.tensors, third: { type: 'float32', shape: [2, 4], data: noise(8, 9) } },
    opset: 8,
  };
  const graph = graphOf(parts);
  const inputs = [...graph.initializers].map(([name, { type, shape }]) => ({ name, type, shape }));
  const bytes = encodeModel({
    ...decodeModel(modelOf(parts)),
    irVersion: 3,
    graph: { ...graph, inputs: [...graph.inputs, ...inputs] },
  });
  const model = importModel(bytes, batch);
  expect(model.inputs.map(({ name }) => name)).toEqual(['x']);
  expect(model.report.split.map(({ names }) => names)).toEqual([['first.bias', 'alias']]);
  const weights = trained(model);
  const x = floats([5, 3], noise(15, 1));
  const [file, own] = [
    await runFile(exportTrained(bytes, model, weights), { x }),
    await evaluated(model, weights, x),
  ];
  expect(relativeError(file.data as Float32Array, own.data as Float32Array)).toBeLessThan(1e-5);
});

test('tensors that lie beside the model move into it', () => {
  const { graph, ...facts } = decodeModel(modelOf(perceptron));
  const places = new Map<string, ExternalTensor['location']>();
  const beside = new Map<string, Uint8Array>();
  for (const [name, { data }] of graph.initializers) {
    places.set(name, { file: 'weights.bin', offset: 64 * places.size, length: data.byteLength });
    beside.set(name, new Uint8Array(data.buffer));
  }
  const bytes = encodeModel({ ...facts, graph }, places);
  const externalData = ({ name }: ExternalTensor) => beside.get(name)!;
  expect(() => importModel(bytes, batch)).toThrow('is stored in weights.bin, not in the model');
  const model = importModel(bytes, { ...batch, externalData, freeze: (name) => name.startsWith('first') });
  const weights = trained(model);
  const written = decodeModel(exportTrained(bytes, model, weights, externalData));
  expect(written.external).toBeUndefined();
  expect(written.graph.initializers.get('second.bias')!.data).toEqual(weights.get('second.bias'));
});

test('tensors of constants, branches and functions that lie beside the model move into it too', () => {
  const constant = (name: string, seed: number) =>
    node('Constant', [], [name], { value: { kind: 'tensor', value: weight([2], seed) } });
  const branch = (operator: string): Attribute => ({
    kind: 'graph',
    value: graphOf({
      ...{ inputs: [], outputs: ['sum'], tensors: { inner: weight([2], 6) } },
      nodes: [constant('c', 7), node(operator, ['c', 'inner'], ['sum'])],
    }),
  });
  const message = ModelProto.decode(
    modelOf({
      ...perceptron,
      nodes: [
        constant('d', 8),
        ...perceptron.nodes,
        node('If', ['on'], ['chosen'], { then_branch: branch('Add'), else_branch: branch('Sub') }),
        node('Sum', ['y', 'chosen', 'd'], ['out']),
      ],
      tensors: { ...perceptron.tensors, on: { type: 'bool', shape: [], data: Uint8Array.of(1) } },
      outputs: ['out'],
    }),
  );
  const [held, choice] = [message.graph!.node![0]!, message.graph!.node!.at(-2)!];
  message.functions = [
    FunctionProto.create({ domain: 'org.example', name: 'Held', output: ['d'], node: [held] }),
  ];
  const whole = ModelProto.encode(message).finish();
  const beside: Uint8Array[] = [];
  const bodies = choice.attribute!.map(({ g }) => g!);
  const constants = [held, ...bodies.map((body) => body.node![0]!)].map((n) => n.attribute![0]!.t!);
  for (const tensor of [...constants, ...bodies.map((body) => body.initializer![0]!)]) {
    tensor.externalData = [{ key: 'location', value: String(beside.length) }];
    tensor.dataLocation = 1;
    beside.push(tensor.rawData!);
    tensor.rawData = null;
  }
  const bytes = ModelProto.encode(message).finish();
  const externalData = ({ location }: ExternalTensor) => beside[Number(location.file)]!;
  const model = importModel(bytes, { ...batch, externalData });
  const weights = trained(model);
  const written = exportTrained(bytes, model, weights, externalData);
  expect(decodeModel(written)).toEqual(decodeModel(exportTrained(whole, model, weights)));
});

test.each<[what: string, change: (weights: Map<string, Float32Array>) => void, message: string]>([
  ['are missing', (w) => w.delete('first.bias'), 'the trained values have no tensor "first.bias"'],
  [
    'are too few',
    (w) => w.set('first.bias', new Float32Array(3)),
    '"first.bias" has 3 trained values, the model needs 4',
  ],
])('trained values that %s are refused', (_, change, message) => {
  const bytes = modelOf(perceptron);
  const model = importModel(bytes, batch);
  const weights = trained(model);
  change(weights);
  expect(() => exportTrained(bytes, model, weights)).toThrow(message);
});

test('layers whose first output nothing reads keep weights of their own', async () => {
  const hidden: Record<string, Attribute> = { hidden_size: { kind: 'int', value: 5 } };
  const recurrent = (i: number) => node('LSTM', ['x', `W${i}`, `R${i}`, `B${i}`], ['', `h${i}`], hidden);
  const ofLayer = (i: number) => ({
    [`W${i}`]: weight([1, 20, 4], 3 * i),
    [`R${i}`]: weight([1, 20, 5], 3 * i + 1),
    [`B${i}`]: weight([1, 40], 3 * i + 2),
  });
  const bytes = modelOf({
    ...{
      inputs: [value('x', [3, 2, 4])],
      outputs: ['h'],
      opset: 14,
      tensors: { ...ofLayer(1), ...ofLayer(2) },
    },
    nodes: [
      ...[1, 2].map(recurrent),
      node('Concat', ['h1', 'h2'], ['h'], { axis: { kind: 'int', value: 2 } }),
    ],
  });
  const model = importModel(bytes);
  const same = new Map(model.parameters.map(({ name, values }) => [name, values]));
  const x = floats([3, 2, 4], noise(24, 5));
  const [before, after] = [
    await runFile(bytes, { x }),
    await runFile(exportTrained(bytes, model, same), { x }),
  ];
  expect(after).toEqual(before);
});
