/** ONNX's protobuf messages. The only file that knows the wire format; numbers are onnx.proto's (IR version 10). */
import protobuf from 'protobufjs/light.js';
import { GraphError } from './types.js';

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
        uint64Data: repeated(11, 'uint64'),
        externalData: repeated(13, 'StringStringEntryProto'),
        dataLocation: field(14, 'int32'),
      },
    },
    SparseTensorProto: { fields: { values: field(1, 'TensorProto') } },
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
        strings: repeated(9, 'bytes'),
        type: field(20, 'int32'),
        refAttrName: field(21, 'string'),
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
        sparseInitializer: repeated(15, 'SparseTensorProto'),
      },
    },
    FunctionProto: {
      fields: {
        name: field(1, 'string'),
        input: repeated(4, 'string'),
        output: repeated(5, 'string'),
        node: repeated(7, 'NodeProto'),
        opsetImport: repeated(9, 'OperatorSetIdProto'),
        domain: field(10, 'string'),
        attributeProto: repeated(11, 'AttributeProto'),
        overload: field(13, 'string'),
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
        functions: repeated(25, 'FunctionProto'),
      },
    },
  },
});
export const ModelProto = root.lookupType('ModelProto');
export const TensorProto = root.lookupType('TensorProto');
export const NodeProto = root.lookupType('NodeProto');
export const AttributeProto = root.lookupType('AttributeProto');
export const StringStringEntryProto = root.lookupType('StringStringEntryProto');
export const ValueInfoProto = root.lookupType('ValueInfoProto');

// biome-ignore lint/suspicious/noExplicitAny: protobufjs gives untyped messages; the decoders check what they read
export type Message = Record<string, any>;

/** One field of a message, as it is stored: what is not known here is kept byte by byte. */
export interface StoredField {
  readonly id: number;
  /** With its number and length. */
  readonly bytes: Uint8Array;
  /** Of texts, bytes and inner messages. */
  readonly content: Uint8Array | null;
}

const LENGTH_DELIMITED = 2;

/** The fields of a message, in their order. */
export function storedFields(message: Uint8Array): StoredField[] {
  const reader = protobuf.Reader.create(message);
  const fields: StoredField[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    let content: Uint8Array | null = null;
    if ((tag & 7) === LENGTH_DELIMITED) content = reader.bytes();
    else reader.skipType(tag & 7);
    fields.push({ id: tag >>> 3, bytes: message.subarray(start, reader.pos), content });
  }
  return fields;
}

/** A field of a text, bytes or an inner message. */
export const storedField = (id: number, content: Uint8Array): Uint8Array =>
  protobuf.Writer.create()
    .uint32((id << 3) | LENGTH_DELIMITED)
    .bytes(content)
    .finish();

/** What one file of protobuf can hold. */
const MOST_BYTES = 2 ** 31 - 1;

/** Fields one after the other: a message. @throws GraphError when a file could not hold it */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (total > MOST_BYTES)
    throw new GraphError('the model has 2 GiB or more, which is more than one ONNX file can hold');
  const all = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
