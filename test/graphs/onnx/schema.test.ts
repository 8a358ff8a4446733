import onnxProto from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, type ExternalLocation, encodeModel } from '../../../graphs/onnx/schema.js';
import { arrayOf, type ElementType, type Graph, GraphError } from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';

/** onnx-proto is an independent reading of onnx.proto. */
const independent = onnxProto.onnx.ModelProto;

/** x ↦ (x·2 summed three times in a Loop): attributes, constants and a sub-graph. */
function loopGraph(): Graph {
  const g = new GraphBuilder('outer');
  const x = g.input('x', 'float32', [2, 3]);
  const doubled = g.add('Mul', [x, g.scalar(2)]);
  const body = new GraphBuilder('body', g);
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

  test.each([
    'float32',
    'float64',
    'float16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'int64',
    'bool',
  ] as ElementType[])('holds %s tensors', (type) => {
    const g = new GraphBuilder('g');
    const data =
      type === 'int64'
        ? BigInt64Array.of(1n, -(2n ** 40n))
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
    const read = decodeModel(bytes, (location) => {
      expect(location).toEqual(where);
      return new Uint8Array(data.buffer);
    });
    expect(read.graph.initializers.get('w')!.data).toEqual(data);
    expect(() => decodeModel(bytes)).toThrow(/"w" lies in weights.bin/);
  });

  test.each([
    ['no model', new Uint8Array([1, 2, 3, 255])],
    ['empty', new Uint8Array()],
  ])('that is %s is refused in words', (_, bytes) => {
    expect(() => decodeModel(bytes)).toThrow(GraphError);
  });

  test('whose tensor has other bytes than its shape needs is refused', () => {
    const { ModelProto } = onnxProto.onnx;
    const bad = { name: 'w', dims: [4], dataType: 1, rawData: new Uint8Array(3) };
    const bytes = ModelProto.encode(
      ModelProto.fromObject({ irVersion: 8, graph: { name: 'g', initializer: [bad] } }),
    ).finish();
    expect(() => decodeModel(bytes)).toThrow(/"w" has 3 bytes, its shape needs 16/);
  });
});
