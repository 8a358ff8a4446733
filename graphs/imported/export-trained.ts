/**
 * The file that was imported, with trained weights in it. All else stays as it is stored, byte by byte, even what is not known
 * here: dynamic sizes, metadata, names.
 */
import { toBfloat16, toFloat16 } from '../onnx/float16.js';
import {
  AttributeProto,
  joined,
  type Message,
  ModelProto,
  NodeProto,
  type StoredField,
  storedField,
  storedFields,
  TensorProto,
} from '../onnx/messages.js';
import { encodeNode } from '../onnx/schema.js';
import { decodeTensor, type ReadExternal } from '../onnx/tensors.js';
import {
  type ElementType,
  GraphError,
  sizeOf,
  type Tensor,
  type TensorData,
  TYPE_CODES,
} from '../onnx/types.js';
import type { ImportedModel } from './import-model.js';
import { firstMade } from './makers.js';
import { isCheckOfWeights } from './metadata.js';
import { floatType, type ImportedParameter } from './network.js';

/** Field numbers of onnx.proto. */
const MODEL = { irVersion: 1, graph: 7, functions: 25 } as const;
const GRAPH = { node: 1, initializer: 5 } as const;
const NODE = { input: 1, output: 2, attribute: 5 } as const;
const ATTRIBUTE = { tensor: 5, graph: 6 } as const;
const FUNCTION = { node: 7, attribute: 11 } as const;
const TENSOR = { rawData: 9 } as const;
/** All ways in which a tensor holds its values. */
const DATA: ReadonlySet<number> = new Set([4, 5, 6, 7, 9, 10, 11, 13, 14]);
const EXTERNAL = 1;
/** The version of the format from which on initialisers need not be inputs. */
const FREE_INITIALIZERS = 4;
const IR_VERSION_FIELD = Uint8Array.of(MODEL.irVersion << 3, FREE_INITIALIZERS);

const encoded = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Numbers as the file had them. */
function inType(values: Float32Array, type: ElementType): TensorData {
  if (type === 'float16') return toFloat16(values);
  if (type === 'bfloat16') return toBfloat16(values);
  return type === 'float64' ? Float64Array.from(values) : values;
}

const rawBytes = ({ buffer, byteOffset, byteLength }: TensorData) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A stored tensor with other values, in the file itself. */
const withValues = (tensor: Uint8Array, values: Uint8Array): Uint8Array => {
  const kept = storedFields(tensor).filter(({ id }) => !DATA.has(id));
  return joined([...kept.map(({ bytes }) => bytes), storedField(TENSOR.rawData, values)]);
};

/** What becomes of the nodes and tensors of the file. */
interface Changes {
  /** The parameters, by their names in the file that is written. */
  readonly parameters: ReadonlyMap<string, ImportedParameter>;
  /** Other names of inputs, by the first output of the node and the input. */
  readonly rewired: ReadonlyMap<string, ReadonlyMap<number, string>>;
  /** Values that are random in training, and what they are in inference. */
  readonly means: ReadonlyMap<string, Tensor>;
  /** Values that nothing needs where these are fixed. */
  readonly idle: ReadonlySet<string>;
  readonly values: (parameter: ImportedParameter) => Uint8Array;
  readonly externalData: ReadExternal | undefined;
}

function changesOf(
  { parameters, noise }: ImportedModel,
  weights: ReadonlyMap<string, Float32Array>,
  externalData: ReadExternal | undefined,
): Changes {
  const rewired = new Map<string, Map<number, string>>();
  for (const { storedName, readers } of parameters)
    for (const { node, input } of readers)
      rewired.set(node, (rewired.get(node) ?? new Map()).set(input, storedName));
  const values = ({ name, shape, type, trainable, values: old }: ImportedParameter) => {
    const given = weights.get(name) ?? (trainable ? undefined : old);
    if (!given) throw new GraphError(`the trained values have no tensor "${name}"`);
    if (given.length !== sizeOf(shape))
      throw new GraphError(`"${name}" has ${given.length} trained values, the model needs ${sizeOf(shape)}`);
    return rawBytes(inType(given, type));
  };
  const type = floatType({ parameters });
  const number = (value: number): Tensor => ({ type, shape: [], data: inType(Float32Array.of(value), type) });
  return {
    ...{ rewired, values, externalData },
    parameters: new Map(parameters.map((p) => [p.storedName, p])),
    means: new Map(noise.map(({ value, mean }) => [value, number(mean)])),
    idle: new Set(noise.flatMap(({ sources }) => sources)),
  };
}

/** A message with other ones in some of its fields, by their numbers. */
const withFields = (
  message: Uint8Array,
  changes: Readonly<Record<number, (content: Uint8Array) => Uint8Array>>,
): Uint8Array =>
  joined(
    storedFields(message).map(({ id, bytes, content }) => {
      const change = changes[id];
      return change && content ? storedField(id, change(content)) : bytes;
    }),
  );

/** A stored tensor, with what lies beside the model moved into it. */
function tensorInside(tensor: Uint8Array, read: ReadExternal | undefined): Uint8Array {
  const message = TensorProto.decode(tensor) as Message;
  if (message.dataLocation !== EXTERNAL) return tensor;
  return withValues(tensor, rawBytes(decodeTensor(message, { read, left: [] })!.data));
}

const attributeInside = (attribute: Uint8Array, read: ReadExternal | undefined): Uint8Array =>
  withFields(attribute, {
    [ATTRIBUTE.tensor]: (tensor) => tensorInside(tensor, read),
    [ATTRIBUTE.graph]: (body) => bodyInside(body, read),
  });

const nodeInside = (node: Uint8Array, read: ReadExternal | undefined): Uint8Array =>
  withFields(node, { [NODE.attribute]: (attribute) => attributeInside(attribute, read) });

/** The body of a branch or a loop. */
const bodyInside = (body: Uint8Array, read: ReadExternal | undefined): Uint8Array =>
  withFields(body, {
    [GRAPH.node]: (node) => nodeInside(node, read),
    [GRAPH.initializer]: (tensor) => tensorInside(tensor, read),
  });

const functionInside = (called: Uint8Array, read: ReadExternal | undefined): Uint8Array =>
  withFields(called, {
    [FUNCTION.node]: (node) => nodeInside(node, read),
    [FUNCTION.attribute]: (attribute) => attributeInside(attribute, read),
  });

/** A stored tensor as it is to be; one that lies beside the model moves into it. */
function changedTensor(tensor: Uint8Array, { parameters, values, externalData }: Changes): Uint8Array {
  const parameter = parameters.get((TensorProto.decode(tensor) as Message).name);
  return parameter ? withValues(tensor, values(parameter)) : tensorInside(tensor, externalData);
}

/**
 * A node as it is to be: reading the weights that are its own, and as in inference where it was exported as in training.
 * @returns null for one in whose place a stored tensor is
 */
function changedNode(
  node: Uint8Array,
  { parameters, rewired, means, idle, externalData }: Changes,
): Uint8Array | null {
  const message = NodeProto.decode(node) as Message;
  const { opType, domain } = message;
  const outputs = message.output as string[];
  if (parameters.has(outputs[0]!) || idle.has(outputs[0]!)) return null;
  const mean = means.get(outputs[0]!);
  if (mean)
    return NodeProto.encode(
      encodeNode({
        ...{ name: message.name, operator: 'Constant', domain: '', inputs: [], outputs: outputs.slice(0, 1) },
        attributes: { value: { kind: 'tensor', value: mean } },
      }),
    ).finish();
  const others = rewired.get(firstMade({ outputs }));
  const inputs = (message.input as string[]).map((name, i) => others?.get(i) ?? name);
  const isStandard = domain === '' || domain === 'ai.onnx';
  const isBatchNorm = isStandard && opType === 'BatchNormalization';
  const isDropout = isStandard && opType === 'Dropout';
  const isInTraining = (field: StoredField) =>
    field.id === NODE.attribute && AttributeProto.decode(field.content!).name === 'training_mode';
  const kept = storedFields(node).filter((field) => {
    if (field.id === NODE.input || field.id === NODE.output) return false;
    return !(isBatchNorm && isInTraining(field));
  });
  return joined([
    ...inputs.slice(0, isDropout ? 2 : undefined).map((name) => storedField(NODE.input, encoded(name))),
    ...outputs.slice(0, isBatchNorm ? 1 : undefined).map((name) => storedField(NODE.output, encoded(name))),
    nodeInside(joined(kept.map(({ bytes }) => bytes)), externalData),
  ]);
}

function changedGraph(graph: Uint8Array, changes: Changes): Uint8Array {
  const present = new Set<string>();
  const parts = storedFields(graph).flatMap(({ id, bytes, content }) => {
    if (id === GRAPH.node) {
      const node = changedNode(content!, changes);
      return node ? [storedField(id, node)] : [];
    }
    if (id !== GRAPH.initializer) return [bytes];
    present.add((TensorProto.decode(content!) as Message).name);
    return [storedField(id, changedTensor(content!, changes))];
  });
  const added = [...changes.parameters.values()].filter(({ storedName }) => !present.has(storedName));
  const tensors = added.map((parameter) => {
    const { storedName: name, shape, type } = parameter;
    const empty = TensorProto.encode({ name, dims: shape, dataType: TYPE_CODES[type] }).finish();
    return storedField(GRAPH.initializer, withValues(empty, changes.values(parameter)));
  });
  return joined([...parts, ...tensors]);
}

/** Values for all parameters of a model: what was trained, and what the loss did not depend on as it was. */
export const completeWeights = (
  { parameters }: ImportedModel,
  trained: ReadonlyMap<string, Float32Array>,
): Map<string, Float32Array> =>
  new Map([...parameters.map(({ name, values }) => [name, values] as const), ...trained]);

/**
 * Writes the model that was imported with trained weights: the file it was read from, in which nothing else is changed. Weights
 * that the export had merged get tensors of their own, weights of half precision stay of half precision, tensors in files beside
 * the model move into it, those of branches, loops and functions too, and layers that were exported as in training (BatchNormalization,
 * Dropout, random numbers) are as in inference.
 * A self-test and a digest in its metadata, which hold for other weights, are left out.
 * @param bytes of the file that `model` was imported from
 * @param weights trained values and running statistics, by parameter name; what is frozen may be left out
 * @throws GraphError when values are missing or do not suit the model, or the result is too large for a file
 */
export function exportTrained(
  bytes: Uint8Array,
  model: ImportedModel,
  weights: ReadonlyMap<string, Float32Array>,
  externalData?: ReadExternal,
): Uint8Array {
  const changes = changesOf(model, weights, externalData);
  const { irVersion } = ModelProto.decode(bytes) as Message;
  const isOld = Number(irVersion) < FREE_INITIALIZERS;
  const fields = storedFields(bytes).filter((field) => !isCheckOfWeights(field));
  return joined(
    fields.map((field) => {
      if (field.id === MODEL.graph) return storedField(field.id, changedGraph(field.content!, changes));
      if (field.id === MODEL.functions)
        return storedField(field.id, functionInside(field.content!, externalData));
      // In older files every stored tensor has to be an input too.
      return isOld && field.id === MODEL.irVersion ? IR_VERSION_FIELD : field.bytes;
    }),
  );
}
