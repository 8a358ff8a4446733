/** ONNX's protobuf messages. The only file that knows the wire format; numbers are onnx.proto's (IR version 10). */
import protobuf from 'protobufjs/light.js';
import {
  type Attribute,
  arrayOf,
  type ElementType,
  type Graph,
  GraphError,
  type Model,
  type Node,
  sizeOf,
  type Tensor,
  type Value,
} from './types.js';

const field = (id: number, type: string) => ({ id, type });
const repeated = (id: number, type: string) => ({ id, type, rule: 'repeated' });

const root = protobuf.Root.fromJSON({
  nested: {
    StringStringEntryProto: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
    OperatorSetIdProto: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    Dimension: {
      oneofs: { value: { oneof: ['dimValue', 'dimParam'] } },
      fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') },
    },
    TensorShapeProto: { fields: { dim: repeated(1, 'Dimension') } },
    TensorTypeProto: { fields: { elemType: field(1, 'int32'), shape: field(2, 'TensorShapeProto') } },
    SequenceTypeProto: { fields: { elemType: field(1, 'TypeProto') } },
    TypeProto: {
      fields: { tensorType: field(1, 'TensorTypeProto'), sequenceType: field(4, 'SequenceTypeProto') },
    },
    ValueInfoProto: { fields: { name: field(1, 'string'), type: field(2, 'TypeProto') } },
    TensorProto: {
      fields: {
        dims: repeated(1, 'int64'),
        dataType: field(2, 'int32'),
        floatData: repeated(4, 'float'),
        int32Data: repeated(5, 'int32'),
        int64Data: repeated(7, 'int64'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
        doubleData: repeated(10, 'double'),
        externalData: repeated(13, 'StringStringEntryProto'),
        dataLocation: field(14, 'int32'),
      },
    },
    AttributeProto: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        t: field(5, 'TensorProto'),
        g: field(6, 'GraphProto'),
        floats: repeated(7, 'float'),
        ints: repeated(8, 'int64'),
        type: field(20, 'int32'),
      },
    },
    NodeProto: {
      fields: {
        input: repeated(1, 'string'),
        output: repeated(2, 'string'),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: repeated(5, 'AttributeProto'),
        domain: field(7, 'string'),
      },
    },
    GraphProto: {
      fields: {
        node: repeated(1, 'NodeProto'),
        name: field(2, 'string'),
        initializer: repeated(5, 'TensorProto'),
        input: repeated(11, 'ValueInfoProto'),
        output: repeated(12, 'ValueInfoProto'),
        valueInfo: repeated(13, 'ValueInfoProto'),
      },
    },
    ModelProto: {
      fields: {
        irVersion: field(1, 'int64'),
        producerName: field(2, 'string'),
        producerVersion: field(3, 'string'),
        docString: field(6, 'string'),
        graph: field(7, 'GraphProto'),
        opsetImport: repeated(8, 'OperatorSetIdProto'),
        metadataProps: repeated(14, 'StringStringEntryProto'),
      },
    },
  },
});
const ModelProto = root.lookupType('ModelProto');

/** TensorProto.DataType. */
const TYPE_CODES: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};
const TYPE_NAMES = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ElementType]));
/** AttributeProto.AttributeType, and the field that holds each kind. */
const KINDS = {
  float: [1, 'f'],
  int: [2, 'i'],
  string: [3, 's'],
  tensor: [4, 't'],
  graph: [5, 'g'],
  floats: [6, 'floats'],
  ints: [7, 'ints'],
} as const;

/** Where a tensor's bytes lie in a file beside the model. */
export interface ExternalLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

const EXTERNAL = 1;
// biome-ignore lint/suspicious/noExplicitAny: protobufjs gives untyped messages; the decoders below check what they read
type Message = Record<string, any>;

function encodeTensor(name: string, tensor: Tensor, external?: ExternalLocation): Message {
  const base = { name, dims: tensor.shape, dataType: TYPE_CODES[tensor.type] };
  if (external) {
    const entries = { location: external.file, offset: external.offset, length: external.length };
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
    return { ...base, dataLocation: EXTERNAL, externalData };
  }
  const { buffer, byteOffset, byteLength } = tensor.data;
  return { ...base, rawData: new Uint8Array(buffer, byteOffset, byteLength) };
}

function encodeType({ type, shape, isSequence }: Value): Message {
  const elemType = TYPE_CODES[type];
  if (isSequence) return { sequenceType: { elemType: { tensorType: { elemType } } } };
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { tensorType: { elemType, shape: { dim } } };
}

const encodeValue = (value: Value): Message => ({ name: value.name, type: encodeType(value) });

function encodeAttribute(name: string, { kind, value }: Attribute): Message {
  const [type, slot] = KINDS[kind];
  const encoded =
    kind === 'graph'
      ? encodeGraph(value)
      : kind === 'tensor'
        ? encodeTensor('', value)
        : kind === 'string'
          ? new TextEncoder().encode(value)
          : value;
  return { name, type, [slot]: encoded };
}

const encodeNode = (node: Node): Message => ({
  name: node.name,
  opType: node.operator,
  domain: node.domain,
  input: node.inputs,
  output: node.outputs,
  attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
});

function encodeGraph(graph: Graph, external?: ReadonlyMap<string, ExternalLocation>): Message {
  return {
    name: graph.name,
    node: graph.nodes.map(encodeNode),
    initializer: [...graph.initializers].map(([name, t]) => encodeTensor(name, t, external?.get(name))),
    input: graph.inputs.map(encodeValue),
    output: graph.outputs.map(encodeValue),
  };
}

/**
 * The bytes of a `.onnx` file.
 * @param external tensors whose bytes the caller writes into a file beside the model
 */
export function encodeModel(model: Model, external?: ReadonlyMap<string, ExternalLocation>): Uint8Array {
  const opsets = Object.entries(model.opsets).map(([domain, version]) => ({ domain, version }));
  const metadata = Object.entries(model.metadata).map(([key, value]) => ({ key, value }));
  return ModelProto.encode({
    irVersion: model.irVersion,
    producerName: model.producer.name,
    producerVersion: model.producer.version,
    docString: model.documentation,
    opsetImport: opsets,
    metadataProps: metadata,
    graph: encodeGraph(model.graph, external),
  }).finish();
}

/** Reads external bytes when a tensor lies beside the model. */
export type ReadExternal = (location: ExternalLocation) => Uint8Array;

function decodeTensor(message: Message, readExternal?: ReadExternal): Tensor {
  const type = TYPE_NAMES.get(message.dataType);
  if (!type)
    throw new GraphError(`tensor "${message.name}" has element type ${message.dataType}, unsupported`);
  const shape = (message.dims ?? []).map(Number);
  let raw: Uint8Array | undefined = message.rawData?.length ? message.rawData : undefined;
  if (message.dataLocation === EXTERNAL) {
    const entry = Object.fromEntries((message.externalData as Message[]).map((e) => [e.key, e.value]));
    const location = {
      file: entry.location,
      offset: Number(entry.offset ?? 0),
      length: Number(entry.length),
    };
    if (!readExternal) throw new GraphError(`tensor "${message.name}" lies in ${location.file}, not read`);
    raw = readExternal(location);
  }
  const ArrayType = arrayOf(type);
  if (raw) {
    const expected = sizeOf(shape) * ArrayType.BYTES_PER_ELEMENT;
    if (raw.byteLength !== expected)
      throw new GraphError(
        `tensor "${message.name}" has ${raw.byteLength} bytes, its shape needs ${expected}`,
      );
    return { type, shape, data: new ArrayType(new Uint8Array(raw).buffer) };
  }
  if (type === 'int64')
    return { type, shape, data: BigInt64Array.from(message.int64Data ?? [], (v) => BigInt(String(v))) };
  const plain: number[] =
    type === 'float32' ? message.floatData : type === 'float64' ? message.doubleData : message.int32Data;
  return { type, shape, data: new (ArrayType as Float32ArrayConstructor)(plain ?? []) };
}

function decodeValue(message: Message): Value {
  const element = message.type?.sequenceType?.elemType;
  const tensor = (element ?? message.type)?.tensorType;
  const type = TYPE_NAMES.get(tensor?.elemType);
  if (!type) throw new GraphError(`value "${message.name}" is no tensor of a supported element type`);
  if (element) return { name: message.name, type, shape: [], isSequence: true };
  const dims: Message[] = tensor.shape?.dim ?? [];
  return {
    name: message.name,
    type,
    shape: dims.map((d, i) => (d.dimParam ? d.dimParam : d.dimValue == null ? `?${i}` : Number(d.dimValue))),
  };
}

function decodeAttribute(message: Message): Attribute {
  const kind = (Object.keys(KINDS) as (keyof typeof KINDS)[]).find((k) => KINDS[k][0] === message.type);
  switch (kind) {
    case 'int':
      return { kind, value: Number(message.i ?? 0) };
    case 'ints':
      return { kind, value: (message.ints ?? []).map(Number) };
    case 'float':
      return { kind, value: message.f ?? 0 };
    case 'floats':
      return { kind, value: message.floats ?? [] };
    case 'string':
      return { kind, value: new TextDecoder().decode(message.s) };
    case 'tensor':
      return { kind, value: decodeTensor(message.t) };
    case 'graph':
      return { kind, value: decodeGraph(message.g) };
    default:
      throw new GraphError(`attribute "${message.name}" is of kind ${message.type}, which is unsupported`);
  }
}

/** The standard's domain has two names. */
const standardDomain = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

const decodeNode = (message: Message): Node => ({
  name: message.name ?? '',
  operator: message.opType,
  domain: standardDomain(message.domain),
  inputs: message.input ?? [],
  outputs: message.output ?? [],
  attributes: Object.fromEntries((message.attribute ?? []).map((a: Message) => [a.name, decodeAttribute(a)])),
});

function decodeGraph(message: Message, readExternal?: ReadExternal): Graph {
  const inputs = (message.input ?? []).map(decodeValue) as Value[];
  const outputs = (message.output ?? []).map(decodeValue) as Value[];
  const inner = (message.valueInfo ?? []).map(decodeValue) as Value[];
  const initializers = new Map<string, Tensor>(
    (message.initializer ?? []).map((t: Message) => [t.name, decodeTensor(t, readExternal)]),
  );
  const constants = [...initializers].map(([name, { type, shape }]) => ({ name, type, shape }));
  return {
    name: message.name ?? '',
    inputs,
    outputs,
    nodes: (message.node ?? []).map(decodeNode),
    initializers,
    values: new Map([...inputs, ...inner, ...constants, ...outputs].map((v) => [v.name, v])),
  };
}

/**
 * Reads a `.onnx` file's bytes.
 * @throws GraphError when they are no ONNX model, or one that uses what we do not support
 */
export function decodeModel(bytes: Uint8Array, readExternal?: ReadExternal): Model {
  let message: Message;
  try {
    message = ModelProto.decode(bytes) as Message;
  } catch (error) {
    throw new GraphError(`these bytes are no ONNX model: ${(error as Error).message}`);
  }
  if (!message.graph) throw new GraphError('these bytes are no ONNX model: there is no graph inside');
  const opsets = Object.fromEntries(
    (message.opsetImport ?? []).map((o: Message) => [standardDomain(o.domain), Number(o.version)]),
  );
  return {
    graph: { ...decodeGraph(message.graph, readExternal), opsets },
    irVersion: Number(message.irVersion),
    opsets,
    producer: { name: message.producerName ?? '', version: message.producerVersion ?? '' },
    documentation: message.docString ?? '',
    metadata: Object.fromEntries((message.metadataProps ?? []).map((e: Message) => [e.key, e.value])),
  };
}
