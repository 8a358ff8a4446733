import onnxProto from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import {
  arrayOf,
  type ElementType,
  type ExternalLocation,
  type Graph,
  GraphError,
  TYPE_CODES,
} from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { protoModel, protoNode, protoValue } from '../onnx-proto.js';

/** onnx-proto is an independent reading of onnx.proto. */
const independent = onnxProto.onnx.ModelProto;

/** x ↦ (x·2 summed three times in a Loop): attributes, constants and a sub-graph. */
function loopGraph(): Graph {
  const g = new GraphBuilder('outer');
  const x = g.input('x', 'float32', [2, 3]);
  const doubled = g.add('Mul', [x, g.scalar(2)]);
  const body = new GraphBuilder('body', { outer: g });
  body.input('trip', 'int64', []);
  const go = body.input('go', 'bool', []);
  const sum = body.input('sum', 'float32', [2, 3]);
  body.output('go_on', go);
  body.output('next_sum', body.add('Add', [sum, doubled]));
  const zero = g.add('Expand', [g.scalar(0), g.integers([2, 3])]);
  const [result] = g.addMany(
    'Loop',
    [g.scalar(3, 'int64'), g.scalar(1, 'bool'), zero],
    { body: body.build() },
    1,
  );
  g.output('y', result!);
  return g.build();
}

describe('a model', () => {
  test('may write sizes that it does not know as -1', () => {
    const model = protoModel({ inputs: [protoValue('x', [-1, 3])], outputs: [], nodes: [] });
    expect(decodeModel(model).graph.inputs[0]!.shape).toEqual(['?0', 3]);
  });

  test('may leave sizes out that it does not know', () => {
    const x = { name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{}, { dimValue: 3 }] } } } };
    const model = protoModel({ inputs: [x], outputs: [], nodes: [] });
    expect(decodeModel(model).graph.inputs[0]!.shape).toEqual(['?0', 3]);
  });

  test('is read by an independent ONNX schema as it was written', () => {
    const model = toModel(loopGraph(), { documentation: 'a test', metadata: { method: 'Parts2Whole' } });
    const read = independent.decode(encodeModel(model));
    expect(Number(read.irVersion)).toBe(8);
    expect(read.producerName).toBe('parts2whole');
    expect(read.docString).toBe('a test');
    expect(read.metadataProps.map(({ key, value }) => [key, value])).toEqual([['method', 'Parts2Whole']]);
    expect(read.opsetImport.map(({ domain, version }) => [domain, Number(version)])).toEqual([['', 18]]);
    const graph = read.graph!;
    expect(graph.node!.map((node) => node.opType)).toEqual(['Mul', 'Expand', 'Loop', 'Identity']);
    expect(graph.input!.map((v) => v.type!.tensorType!.shape!.dim!.map((d) => Number(d.dimValue)))).toEqual([
      [2, 3],
    ]);
    const body = graph.node![2]!.attribute![0]!;
    expect(body.type).toBe(onnxProto.onnx.AttributeProto.AttributeType.GRAPH);
    expect(body.g!.node!.map((node) => node.opType)).toEqual(['Identity', 'Add', 'Identity']);
  });

  test('comes back the same when decoded and encoded again', () => {
    const bytes = encodeModel(toModel(loopGraph(), { metadata: { a: 'b' } }));
    expect(encodeModel(decodeModel(bytes))).toEqual(bytes);
  });

  test('with a sub-graph runs', async () => {
    const session = await nodeEngine.load(encodeModel(toModel(loopGraph())), { threads: 1 });
    const x = { type: 'float32' as const, shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    expect([...((await session.run({ x })).y!.data as Float32Array)]).toEqual([6, 12, 18, 24, 30, 36]);
    await session.release();
  });

  test.each(Object.keys(TYPE_CODES) as ElementType[])('holds %s tensors', (type) => {
    const g = new GraphBuilder('g');
    const data =
      type === 'int64'
        ? BigInt64Array.of(1n, -(2n ** 40n))
        : type === 'uint64'
          ? BigUint64Array.of(1n, 2n ** 63n)
          : (arrayOf(type) as Float32ArrayConstructor).of(1, 0);
    g.initializer('w', { type, shape: [2], data });
    const read = decodeModel(encodeModel(toModel(g.build()))).graph.initializers.get('w')!;
    expect(read).toEqual({ type, shape: [2], data });
  });

  test('may keep its weights in a file beside it', () => {
    const g = new GraphBuilder('g');
    const data = Float32Array.of(1, 2, 3);
    g.initializer('w', { type: 'float32', shape: [3], data });
    const where: ExternalLocation = { file: 'weights.bin', offset: 64, length: 12 };
    const bytes = encodeModel(toModel(g.build()), new Map([['w', where]]));
    const read = decodeModel(bytes, ({ location }) => {
      expect(location).toEqual(where);
      return new Uint8Array(data.buffer);
    });
    expect(read.graph.initializers.get('w')!.data).toEqual(data);
    expect(read.external).toBeUndefined();
    expect(() => decodeModel(bytes)).toThrow(/"w" is stored in weights.bin/);
    const listed = decodeModel(bytes, () => null);
    expect(listed.graph.initializers.size).toBe(0);
    expect(listed.external).toEqual([{ name: 'w', type: 'float32', shape: [3], location: where }]);
  });

  test.each([
    ['no model', new Uint8Array([1, 2, 3, 255])],
    ['empty', new Uint8Array()],
  ])('that is %s is refused in words', (_, bytes) => {
    expect(() => decodeModel(bytes)).toThrow(GraphError);
  });

  test.each([
    [
      'other bytes than its shape needs',
      { rawData: new Uint8Array(3) },
      '"w" has 3 bytes, its shape needs 16',
    ],
    ['other values than its shape needs', { floatData: [1] }, '"w" has 1 values, its shape needs 4'],
    ['a negative size', { dims: [-4] }, '"w" cannot have the shape [-4]'],
    ['more values than can be', { dims: [2 ** 40, 2 ** 40] }, '"w" cannot have the shape'],
    ['strings', { dataType: 8 }, '"w" is of element type string, which is unsupported'],
    [
      'four bits',
      { dataType: 22 },
      'int4, which is unsupported: take the model as it was before it was quantised',
    ],
    ['numbers of 8 bits with a point', { dataType: 17 }, '"w" is of element type float8e4m3fn'],
  ])('whose tensor has %s is refused by name', (_, change, message) => {
    const bytes = protoModel({
      ...{ nodes: [], inputs: [], outputs: [] },
      initializers: [{ name: 'w', dims: [4], dataType: 1, ...change }],
    });
    expect(() => decodeModel(bytes)).toThrow(GraphError);
    expect(() => decodeModel(bytes)).toThrow(message);
  });
});

/** A tensor in a file of four floats beside the model. */
const outside = (name: string, entries: Record<string, string> = {}) => ({
  ...{ name, dims: [4], dataType: 1, dataLocation: 1 },
  externalData: Object.entries({ location: 'weights.bin', ...entries }).map(([key, value]) => ({
    key,
    value,
  })),
});

describe('what other exporters write', () => {
  const { AttributeProto } = onnxProto.onnx;
  const kinds = AttributeProto.AttributeType;
  const decode = (model: Partial<Parameters<typeof protoModel>[0]>) =>
    decodeModel(protoModel({ nodes: [], inputs: [], outputs: [], ...model }), ({ location }) =>
      new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer).slice(0, location.length),
    );

  test.each([
    ['uint32', 12, { uint64Data: [1, 2 ** 32 - 1] }, Uint32Array.of(1, 2 ** 32 - 1)],
    ['uint64', 13, { uint64Data: [1, 2] }, BigUint64Array.of(1n, 2n)],
    ['int64', 7, { int64Data: [1, -2] }, BigInt64Array.of(1n, -2n)],
    ['float16', 10, { int32Data: [0x3c00, 0xbc00] }, Uint16Array.of(0x3c00, 0xbc00)],
    ['bfloat16', 16, { int32Data: [0x3f80, 0xbf80] }, Uint16Array.of(0x3f80, 0xbf80)],
    ['float64', 11, { doubleData: [0.1, -2] }, Float64Array.of(0.1, -2)],
    ['bool', 9, { int32Data: [1, 0] }, Uint8Array.of(1, 0)],
  ])('lists of %s values are read', (type, dataType, list, data) => {
    const { graph } = decode({ initializers: [{ name: 'w', dims: [2], dataType, ...list }] });
    expect(graph.initializers.get('w')).toEqual({ type, shape: [2], data });
  });

  test('attributes of strings are read, and written again', () => {
    const strings = ['one', 'zwölf'].map((word) => new TextEncoder().encode(word));
    const node = protoNode(
      'Encoder',
      ['x'],
      ['y'],
      [{ name: 'words', type: kinds.STRINGS, strings }],
      'com.example',
    );
    const model = decode({ nodes: [node] });
    expect(model.graph.nodes[0]!.attributes.words).toEqual({ kind: 'strings', value: ['one', 'zwölf'] });
    expect(decodeModel(encodeModel(model)).graph.nodes).toEqual(model.graph.nodes);
  });

  test('the largest integer stays the largest', () => {
    const node = protoNode(
      'Slice',
      ['x'],
      ['y'],
      [{ name: 'ends', type: kinds.INTS, ints: ['9223372036854775807', -1] }],
    );
    const again = independent.decode(encodeModel(decode({ nodes: [node] })));
    expect(again.graph!.node![0]!.attribute![0]!.ints!.map(String)).toEqual(['9223372036854775807', '-1']);
  });

  test('tensors in other files are read wherever they are: in a graph, an attribute, a body', () => {
    const constant = protoNode(
      'Constant',
      [],
      ['c'],
      [{ name: 'value', type: kinds.TENSOR, t: outside('inner') }],
    );
    const body = {
      name: 'body',
      node: [constant],
      initializer: [outside('deep')],
      output: [protoValue('c', [4])],
    };
    const node = protoNode('If', ['x'], ['y'], [{ name: 'then_branch', type: kinds.GRAPH, g: body }]);
    const { graph, external } = decode({ nodes: [node], initializers: [outside('w')] });
    const values = Float32Array.of(1, 2, 3, 4);
    expect(external).toBeUndefined();
    expect(graph.initializers.get('w')!.data).toEqual(values);
    const inner = graph.nodes[0]!.attributes.then_branch!.value as Graph;
    expect(inner.initializers.get('deep')!.data).toEqual(values);
    expect(inner.nodes[0]!.attributes.value).toMatchObject({ kind: 'tensor', value: { data: values } });
    const bytes = protoModel({ nodes: [node], inputs: [], outputs: [], initializers: [outside('w')] });
    expect(decodeModel(bytes, () => null).external!.map(({ name }) => name)).toEqual(['w', 'deep', 'inner']);
  });

  test.each([
    [
      'a length of 10^18',
      { length: '1000000000000000000' },
      'has 1000000000000000000 bytes in weights.bin, its shape',
    ],
    ['a negative length', { length: '-5' }, 'has -5 bytes in weights.bin, its shape needs 16'],
    ['a length that is no number', { length: 'all' }, 'has all bytes in weights.bin'],
    ['a negative offset', { offset: '-8' }, 'starts at byte -8 of weights.bin'],
    ['no file', { location: '' }, 'is stored in another file, whose name is missing'],
  ])('a tensor in another file with %s is refused before anything is read', (_, entries, message) => {
    expect(() => decode({ initializers: [outside('w', entries)] })).toThrow(`tensor "w" ${message}`);
  });

  test.each([
    [
      'a kind of attribute',
      { nodes: [protoNode('Optional', [], ['y'], [{ name: 'type', type: 13 }])] },
      'attribute "type" of Optional at "y" is of kind type, which is unsupported',
    ],
    [
      'an input of strings',
      { inputs: [protoValue('words', [2], 8)] },
      'value "words" is of element type string',
    ],
  ])('%s that is unknown is refused by name', (_, model, message) => {
    expect(() => decode(model)).toThrow(message);
  });

  test('types of inner values that are unknown do not matter', () => {
    const { ModelProto } = onnxProto.onnx;
    const graph = { name: 'g', valueInfo: [protoValue('words', [2], 8), protoValue('x', [2])] };
    const bytes = ModelProto.encode(ModelProto.fromObject({ irVersion: 8, graph })).finish();
    expect([...decodeModel(bytes).graph.values.keys()]).toEqual(['x']);
  });
});
