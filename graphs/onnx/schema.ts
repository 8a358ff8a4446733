/** Models as the bytes of `.onnx` files, and back. */
import { type Message, ModelProto } from './messages.js';
import { decodeTensor, type Externals, elementType, encodeTensor, type ReadExternal } from './tensors.js';

import {
  type Attribute,
  type ExternalLocation,
  type FunctionNode,
  type Graph,
  GraphError,
  type LocalFunction,
  type Model,
  type Node,
  type Opsets,
  type Tensor,
  TYPE_CODES,
  type Value,
} from './types.js';

/** AttributeProto.AttributeType, and the field that holds each kind. */
const KINDS = {
  float: [1, 'f'],
  int: [2, 'i'],
  string: [3, 's'],
  tensor: [4, 't'],
  graph: [5, 'g'],
  floats: [6, 'floats'],
  ints: [7, 'ints'],
  strings: [8, 'strings'],
} as const;
/** Kinds that are not ours, for messages. */
const OTHER_KINDS: Readonly<Record<number, string>> = {
  9: 'tensors',
  10: 'graphs',
  11: 'sparse tensor',
  12: 'sparse tensors',
  13: 'type',
  14: 'types',
};

function encodeType({ type, shape, isSequence }: Value): Message {
  const elemType = TYPE_CODES[type];
  if (isSequence) return { sequenceType: { elemType: { tensorType: { elemType } } } };
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { tensorType: { elemType, shape: { dim } } };
}

/** A value as a ValueInfoProto. */
export const encodeValue = (value: Value): Message => ({ name: value.name, type: encodeType(value) });

/** The largest int64 stands for "to the end", and is no exact number. */
const int64 = (value: number) => (value >= 2 ** 63 ? { low: -1, high: 0x7fffffff, unsigned: false } : value);
const text = (value: string) => new TextEncoder().encode(value);

function encodeAttributeValue({ kind, value }: Attribute): unknown {
  switch (kind) {
    case 'graph':
      return encodeGraph(value);
    case 'tensor':
      return encodeTensor('', value);
    case 'string':
      return text(value);
    case 'strings':
      return value.map(text);
    case 'int':
      return int64(value);
    case 'ints':
      return value.map(int64);
    default:
      return value;
  }
}

function encodeAttribute(name: string, { kind, value }: Attribute): Message {
  const [type, slot] = KINDS[kind];
  return { name, type, [slot]: encodeAttributeValue({ kind, value } as Attribute) };
}

export const encodeNode = (node: Node): Message => ({
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

function decodeValue(message: Message): Value {
  const element = message.type?.sequenceType?.elemType;
  const tensor = (element ?? message.type)?.tensorType;
  if (!tensor) throw new GraphError(`value "${message.name}" is not a tensor`);
  const type = elementType(tensor.elemType, `value "${message.name}"`);
  if (element) return { name: message.name, type, shape: [], isSequence: true };
  const dims: Message[] = tensor.shape?.dim ?? [];
  // Sizes that exporters do not know are left out, or written as -1.
  const isSize = (d: Message) => Object.hasOwn(d, 'dimValue') && Number(d.dimValue) >= 0;
  return {
    name: message.name,
    type,
    shape: dims.map((d, i) => (d.dimParam ? d.dimParam : isSize(d) ? Number(d.dimValue) : `?${i}`)),
    ...(tensor.shape ? {} : { isUnranked: true }),
  };
}

function decodeAttribute(message: Message, externals: Externals, where: string): Attribute | null {
  if (message.refAttrName)
    throw new GraphError(
      `attribute "${message.name}"${where} is one of a function, which is unsupported here`,
    );
  const kind = (Object.keys(KINDS) as (keyof typeof KINDS)[]).find((k) => KINDS[k][0] === message.type);
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  switch (kind) {
    case 'int':
      return { kind, value: Number(message.i ?? 0) };
    case 'ints':
      return { kind, value: Array.from(message.ints ?? [], Number) };
    case 'float':
      return { kind, value: message.f ?? 0 };
    case 'floats':
      return { kind, value: message.floats ?? [] };
    case 'string':
      return { kind, value: decode(message.s) };
    case 'strings':
      return { kind, value: Array.from((message.strings ?? []) as Uint8Array[], decode) };
    case 'tensor': {
      const value = message.t ? decodeTensor(message.t, externals, where) : null;
      return value && { kind, value };
    }
    case 'graph':
      return { kind, value: decodeGraph(message.g ?? {}, externals) };
    default:
      throw new GraphError(
        `attribute "${message.name}"${where} is of kind ${OTHER_KINDS[message.type] ?? message.type}, which is unsupported`,
      );
  }
}

/** The standard's domain has two names. */
const standardDomain = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

function decodeNode(message: Message, externals: Externals): Node {
  const outputs: string[] = message.output ?? [];
  const where = ` of ${message.opType} at "${message.name || outputs[0]}"`;
  const attributes = ((message.attribute ?? []) as Message[]).flatMap((a) => {
    const attribute = decodeAttribute(a, externals, where);
    return attribute ? [[a.name as string, attribute] as const] : [];
  });
  return {
    name: message.name ?? '',
    operator: message.opType,
    domain: standardDomain(message.domain),
    inputs: message.input ?? [],
    outputs,
    attributes: Object.fromEntries(attributes),
  };
}

function decodeFunctionNode(message: Message, externals: Externals): FunctionNode {
  const attributes = (message.attribute ?? []) as Message[];
  const own = attributes.filter((a) => !a.refAttrName);
  const references = attributes.filter((a) => a.refAttrName).map((a) => [a.name, a.refAttrName]);
  return {
    ...decodeNode({ ...message, attribute: own }, externals),
    references: Object.fromEntries(references),
  };
}

function decodeFunction(message: Message, externals: Externals): LocalFunction {
  const name: string = message.name ?? '';
  const defaults = ((message.attributeProto ?? []) as Message[]).flatMap((a) => {
    const attribute = decodeAttribute(a, externals, ` of function ${name}`);
    return attribute ? [[a.name as string, attribute] as const] : [];
  });
  return {
    domain: standardDomain(message.domain),
    name,
    overload: message.overload ?? '',
    inputs: message.input ?? [],
    outputs: message.output ?? [],
    defaults: Object.fromEntries(defaults),
    nodes: ((message.node ?? []) as Message[]).map((node) => decodeFunctionNode(node, externals)),
    opsets: opsetsOf(message),
  };
}

const opsetsOf = ({ opsetImport }: Message): Opsets =>
  Object.fromEntries((opsetImport ?? []).map((o: Message) => [standardDomain(o.domain), Number(o.version)]));

/** Types and shapes of inner values are no more than hints: those that cannot be read are left out. */
function decodeHint(message: Message): Value[] {
  try {
    return [decodeValue(message)];
  } catch (error) {
    if (error instanceof GraphError) return [];
    throw error;
  }
}

function decodeGraph(message: Message, externals: Externals): Graph {
  const list = (messages: unknown): Message[] => (messages as Message[] | undefined) ?? [];
  const inputs = list(message.input).map(decodeValue);
  const outputs = list(message.output).map(decodeValue);
  const [sparse] = list(message.sparseInitializer);
  if (sparse)
    throw new GraphError(
      `tensor "${sparse.values?.name ?? ''}" is stored as a sparse one, which is unsupported`,
    );
  const initializers = new Map<string, Tensor>();
  for (const tensor of list(message.initializer)) {
    const decoded = decodeTensor(tensor, externals);
    if (decoded) initializers.set(tensor.name, decoded);
  }
  const constants = [...initializers].map(([name, { type, shape }]) => ({ name, type, shape }));
  const inner = list(message.valueInfo).flatMap(decodeHint);
  return {
    name: message.name ?? '',
    inputs,
    outputs,
    nodes: list(message.node).map((node) => decodeNode(node, externals)),
    initializers,
    values: new Map([...inputs, ...inner, ...constants, ...outputs].map((v) => [v.name, v])),
  };
}

/**
 * Reads a `.onnx` file's bytes.
 * @param readExternal reads tensors that lie in files beside the model; those that it leaves there are listed as `external`
 * @throws GraphError when they are no ONNX model, or one that uses what we do not support
 */
export function decodeModel(bytes: Uint8Array, readExternal?: ReadExternal): Model {
  let message: Message;
  try {
    message = ModelProto.decode(bytes) as Message;
  } catch (error) {
    throw new GraphError(`these bytes are not an ONNX model: ${(error as Error).message}`);
  }
  if (!message.graph) throw new GraphError('these bytes are not an ONNX model: they contain no graph');
  const opsets = opsetsOf(message);
  const externals: Externals = { read: readExternal, left: [] };
  const functions = (message.functions ?? []) as Message[];
  return {
    graph: { ...decodeGraph(message.graph, externals), opsets },
    irVersion: Number(message.irVersion),
    opsets,
    producer: { name: message.producerName ?? '', version: message.producerVersion ?? '' },
    documentation: message.docString ?? '',
    metadata: Object.fromEntries((message.metadataProps ?? []).map((e: Message) => [e.key, e.value])),
    ...(functions.length > 0 ? { functions: functions.map((f) => decodeFunction(f, externals)) } : {}),
    ...(externals.left.length > 0 ? { external: externals.left } : {}),
  };
}
