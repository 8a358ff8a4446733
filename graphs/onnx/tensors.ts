/** TensorProto: tensors with their values, or with the place in a file beside the model where these lie. */
import type { Message } from './messages.js';
import {
  arrayOf,
  type ElementType,
  type ExternalLocation,
  type ExternalTensor,
  GraphError,
  sizeOf,
  type Tensor,
  type TensorData,
  TYPE_CODES,
} from './types.js';

/** Reads the bytes of a tensor that lies beside the model, or `null` to leave them there. */
export type ReadExternal = (tensor: ExternalTensor) => Uint8Array | null;

/** How external tensors are read, and which were left where they are. */
export interface Externals {
  readonly read: ReadExternal | undefined;
  readonly left: ExternalTensor[];
}

const EXTERNAL = 1;
const TYPE_NAMES = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ElementType]));
/** Element types of the standard that are not ours, for messages. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  8: 'string',
  14: 'complex64',
  15: 'complex128',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
};

const IS_QUANTISED = /^(float8|float4|u?int4)/;

/** @param what holds the values, for the message. @throws GraphError when the element type is not one of ours */
export function elementType(code: number | undefined, what: string): ElementType {
  const type = TYPE_NAMES.get(code ?? 0);
  if (type) return type;
  const name = OTHER_TYPES[code ?? 0] ?? String(code);
  const way = IS_QUANTISED.test(name) ? ': take the model as it was before it was quantised' : '';
  throw new GraphError(`${what} is of element type ${name}, which is unsupported${way}`);
}

export function encodeTensor(name: string, tensor: Tensor, external?: ExternalLocation): Message {
  const base = { name, dims: tensor.shape, dataType: TYPE_CODES[tensor.type] };
  if (external) {
    const entries = { location: external.file, offset: external.offset, length: external.length };
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
    return { ...base, dataLocation: EXTERNAL, externalData };
  }
  const { buffer, byteOffset, byteLength } = tensor.data;
  return { ...base, rawData: new Uint8Array(buffer, byteOffset, byteLength) };
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

/** @throws GraphError when offset and length cannot be, or the length is not what the shape needs */
function locationOf(message: Message, what: string, needed: number): ExternalLocation {
  const entry = Object.fromEntries(((message.externalData ?? []) as Message[]).map((e) => [e.key, e.value]));
  const { location: file, offset = '0', length = String(needed) } = entry;
  if (!file) throw new GraphError(`${what} is stored in another file, whose name is missing`);
  if (!isCount(Number(offset))) throw new GraphError(`${what} starts at byte ${offset} of ${file}`);
  if (Number(length) !== needed)
    throw new GraphError(`${what} has ${length} bytes in ${file}, its shape needs ${needed}`);
  return { file, offset: Number(offset), length: needed };
}

/** The values of a tensor that are written as a list of numbers. */
function listed(message: Message, type: ElementType): TensorData {
  const big = (values: readonly unknown[]) => values.map((value) => BigInt(String(value)));
  if (type === 'int64') return BigInt64Array.from(big(message.int64Data ?? []));
  if (type === 'uint64') return BigUint64Array.from(big(message.uint64Data ?? []));
  const lists: Partial<Record<ElementType, string>> = {
    float32: 'floatData',
    float64: 'doubleData',
    uint32: 'uint64Data',
  };
  const numbers = Array.from(message[lists[type] ?? 'int32Data'] ?? [], Number);
  return new (arrayOf(type) as Float32ArrayConstructor)(numbers);
}

/**
 * @param where the tensor is, for messages
 * @returns null for an external tensor that is left where it is
 */
export function decodeTensor(message: Message, { read, left }: Externals, where = ''): Tensor | null {
  const name: string = message.name ?? '';
  const what = `tensor "${name}"${where}`;
  const type = elementType(message.dataType, what);
  const shape: number[] = Array.from(message.dims ?? [], Number);
  if (!shape.every(isCount) || !isCount(sizeOf(shape)))
    throw new GraphError(`${what} cannot have the shape [${shape.join(',')}]`);
  const ArrayType = arrayOf(type);
  const needed = sizeOf(shape) * ArrayType.BYTES_PER_ELEMENT;
  let raw: Uint8Array | null = message.rawData?.length ? message.rawData : null;
  if (message.dataLocation === EXTERNAL) {
    const location = locationOf(message, what, needed);
    if (!read) throw new GraphError(`${what} is stored in ${location.file}, not in the model's own file`);
    const tensor = { name, type, shape, location };
    raw = read(tensor);
    if (!raw) {
      left.push(tensor);
      return null;
    }
  }
  if (!raw) {
    const data = listed(message, type);
    if (data.length !== sizeOf(shape))
      throw new GraphError(`${what} has ${data.length} values, its shape needs ${sizeOf(shape)}`);
    return { type, shape, data };
  }
  if (raw.byteLength !== needed)
    throw new GraphError(`${what} has ${raw.byteLength} bytes, its shape needs ${needed}`);
  return { type, shape, data: new ArrayType(new Uint8Array(raw).buffer) };
}
