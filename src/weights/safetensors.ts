/** Weights in Hugging Face's safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes. */
import * as z from 'zod';
import { sizeOf, type TensorData } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';

/** What holds the values of a type. Half-precision floats stay their raw 16 bits, booleans one byte each. */
const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;
export type SafetensorsType = keyof typeof ARRAYS;

export interface NamedTensor {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}
export type StoredTensor = Omit<NamedTensor, 'name'>;

/** Where a tensor lies in the file. */
export interface TensorEntry {
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  /** First byte, and the one behind the last, counted from the end of the header. */
  readonly data_offsets: readonly [number, number];
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes before the first tensor. */
  readonly dataStart: number;
}

/** Where bytes are read from. */
export interface ByteSource {
  /** For messages: a path, or the name of a file. */
  readonly name: string;
  readonly bytes: number;
  /** Fills `target` from byte `position` on. @returns whether there were as many */
  read(target: Uint8Array, position: number): boolean;
}

/** Everything that a file holds. */
export interface Safetensors {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What the reference implementation allows. */
const MOST_HEADER_BYTES = 100_000_000;

/** A reader would refuse what does not fit together: better to see it here, before the old file is replaced. */
function checkTensors(path: string, tensors: readonly NamedTensor[]): void {
  const names = new Set<string>(['__metadata__']);
  for (const { name, dtype, shape, data } of tensors) {
    const where = `${path}, tensor "${name}"`;
    if (names.has(name)) throw new UserError('usage', { what: 'this name is already in use', where });
    names.add(name);
    if (!(data instanceof ARRAYS[dtype]) || data.length !== sizeOf(shape))
      throw new UserError('usage', {
        what: 'the values do not match the type and shape',
        where,
        got: `${data.constructor.name} of ${data.length}`,
        expected: `${ARRAYS[dtype].name} of ${sizeOf(shape)}, for ${dtype} [${shape.join(', ')}]`,
      });
  }
}

/**
 * A file's bytes, piece by piece: tensors in their order, one after the other.
 * @param path for messages
 * @throws UserError when a tensor contradicts itself
 */
export function encodeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): ArrayBufferView<ArrayBuffer>[] {
  checkTensors(path, tensors);
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header.push([name, { dtype, shape, data_offsets: [offset, offset + data.byteLength] }]);
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  // Spaces behind the header bring the tensors to a multiple of 8 bytes.
  const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20);
  padded.set(json);
  const length = BigUint64Array.of(BigInt(padded.length));
  return [length, padded, ...tensors.map(({ data }) => data as ArrayBufferView<ArrayBuffer>)];
}

const entrySchema = z.strictObject({
  dtype: z.enum(Object.keys(ARRAYS) as [SafetensorsType], 'its type is not supported'),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

export function damaged(where: string, got: string): UserError {
  return new UserError('run', {
    what: 'this is not a complete safetensors file',
    where,
    got,
    fix: 'use another checkpoint, or write it again',
  });
}

/** The JSON object at the beginning of the file. */
function readHeaderObject({ name, bytes: size, read }: ByteSource) {
  const prefix = new BigUint64Array(1);
  if (!read(new Uint8Array(prefix.buffer), 0)) throw damaged(name, `${size} bytes`);
  const length = Number(prefix[0]);
  if (length > Math.min(size - 8, MOST_HEADER_BYTES))
    throw damaged(name, `a header of ${length} bytes in a file of ${size}`);
  const text = new Uint8Array(length);
  if (!read(text, 8)) throw damaged(name, 'a truncated header');
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw damaged(name, 'a header that is not JSON');
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw damaged(name, 'a header that is not an object');
  return { content: content as Record<string, unknown>, dataStart: 8 + length };
}

/** Names, types and shapes, without reading the tensors. @throws UserError when the file is damaged */
export function decodeHeader(source: ByteSource): SafetensorsHeader {
  const { name: path, bytes: size } = source;
  const { content, dataStart } = readHeaderObject(source);
  const { __metadata__: given = {}, ...rest } = content;
  const metadata = z.record(z.string(), z.string()).safeParse(given);
  if (!metadata.success) throw damaged(path, 'metadata that is not text');
  const entries = Object.entries(rest).map(([name, value]): [string, TensorEntry] => {
    const entry = entrySchema.safeParse(value);
    if (!entry.success) throw damaged(path, `tensor "${name}": ${entry.error.issues[0]?.message}`);
    return [name, entry.data];
  });
  // The order of a JSON object means nothing, and JavaScript moves names such as "0" to the front.
  entries.sort(([, { data_offsets: a }], [, { data_offsets: b }]) => a[0] - b[0] || a[1] - b[1]);
  let end = 0;
  for (const [name, { dtype, shape, data_offsets }] of entries) {
    const [from, to] = data_offsets;
    if (from !== end || to - from !== sizeOf(shape) * ARRAYS[dtype].BYTES_PER_ELEMENT)
      throw damaged(path, `tensor "${name}" at bytes ${from} to ${to}`);
    end = to;
  }
  if (dataStart + end !== size) throw damaged(path, `${size} bytes instead of ${dataStart + end}`);
  return { tensors: new Map(entries), metadata: metadata.data, dataStart };
}

/** Everything. @throws UserError when the file is cut short or lies about itself */
export function decodeSafetensors(source: ByteSource): Safetensors {
  const { tensors, metadata, dataStart } = decodeHeader(source);
  const read = [...tensors].map(([name, { dtype, shape, data_offsets }]): [string, StoredTensor] => {
    const data = new ARRAYS[dtype](sizeOf(shape));
    if (!source.read(new Uint8Array(data.buffer), dataStart + data_offsets[0]))
      throw damaged(source.name, `tensor "${name}" is truncated`);
    return [name, { dtype, shape, data }];
  });
  return { tensors: new Map(read), metadata };
}
