/**
 * The checkpoint of ONNX Runtime's training interface on a device: FlatBuffers with the identifier `ODTC`. Slots are in
 * the order of `ort.fbs` and `ort_training_checkpoint.fbs` of ONNX Runtime 1.19.
 */
import { Builder, ByteBuffer } from 'flatbuffers';
import { GraphError, sizeOf } from '../onnx/types.js';

const IDENTIFIER = 'ODTC';
/** Of ONNX Runtime 1.18 and 1.19. */
const VERSION = 2;
/** What ONNX Runtime itself calls its only group of parameters. */
const GROUP = 'group0';
const FLOAT32 = 1;
const INITIAL_RATE = 1e-3;

/** A float32 tensor of a checkpoint. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Where an optimiser stands. */
export interface OptimizerMoments {
  /** Updates so far. */
  readonly step: number;
  /** Of each trained parameter: the first moment, and the second. */
  readonly moments: readonly { readonly parameter: string; readonly tensors: readonly NamedTensor[] }[];
}

export interface OnDeviceCheckpoint {
  readonly trainable: readonly NamedTensor[];
  /** Parameters that no optimiser changes: running statistics, and what is frozen. */
  readonly frozen: readonly NamedTensor[];
  /** Null before the first update. */
  readonly optimizer: OptimizerMoments | null;
}

/** Of a table: bytes from its first slot; FlatBuffers counts them in steps of 2 from 4 on. */
const slot = (index: number) => 4 + 2 * index;

function offsets(b: Builder, list: readonly number[]): number {
  b.startVector(4, list.length, 4);
  for (const offset of list.toReversed()) b.addOffset(offset);
  return b.endVector();
}

function table(b: Builder, slots: number, fill: () => void): number {
  b.startObject(slots);
  fill();
  return b.endObject();
}

/** table Tensor { name, doc_string, dims, data_type, raw_data, string_data } */
function tensorTable(b: Builder, { name, shape, data }: NamedTensor): number {
  const named = b.createString(name);
  b.startVector(8, shape.length, 8);
  for (const size of shape.toReversed()) b.addInt64(BigInt(size));
  const dims = b.endVector();
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  // Readers cast these bytes to floats where they lie.
  b.prep(8, bytes.byteLength);
  const raw = b.createByteVector(bytes);
  return table(b, 6, () => {
    b.addFieldOffset(0, named, 0);
    b.addFieldOffset(2, dims, 0);
    b.addFieldInt32(3, FLOAT32, 0);
    b.addFieldOffset(4, raw, 0);
  });
}

const tensors = (b: Builder, list: readonly NamedTensor[]) =>
  offsets(
    b,
    list.map((tensor) => tensorTable(b, tensor)),
  );

/** table OptimizerGroup { group_name, step, initial_learning_rate, optimizer_states } */
function groupTable(b: Builder, { step, moments }: OptimizerMoments): number {
  const states = moments.map(({ parameter, tensors: momentums }) => {
    const [name, list] = [b.createString(parameter), tensors(b, momentums)];
    return table(b, 2, () => {
      b.addFieldOffset(0, name, 0);
      b.addFieldOffset(1, list, 0);
    });
  });
  const [name, all] = [b.createString(GROUP), offsets(b, states)];
  return table(b, 4, () => {
    b.addFieldOffset(0, name, 0);
    b.addFieldInt64(1, BigInt(step), 0n);
    b.addFieldFloat32(2, INITIAL_RATE, 0);
    b.addFieldOffset(3, all, 0);
  });
}

/** The bytes of a checkpoint. Tensors keep the order they are given in. */
export function encodeCheckpoint({ trainable, frozen, optimizer }: OnDeviceCheckpoint): Uint8Array {
  const b = new Builder(1024);
  const [trained, untouched] = [tensors(b, trainable), tensors(b, frozen)];
  // table ModuleState { requires_grad_params, frozen_params, is_nominal_state }
  const module = table(b, 3, () => {
    b.addFieldOffset(0, trained, 0);
    b.addFieldOffset(1, untouched, 0);
  });
  const groups = optimizer ? offsets(b, [groupTable(b, optimizer)]) : 0;
  // table Checkpoint { version, module_state, optimizer_groups, property_bag }
  const root = table(b, 4, () => {
    b.addFieldInt32(0, VERSION, 0);
    b.addFieldOffset(1, module, 0);
    b.addFieldOffset(2, groups, 0);
  });
  b.finish(root, IDENTIFIER);
  return b.asUint8Array();
}

/** Reads tables by slot, and never beyond the file. */
class Reader {
  readonly #bytes: ByteBuffer;

  constructor(readonly file: Uint8Array) {
    this.#bytes = new ByteBuffer(file);
  }

  #checked(at: number, length: number): number {
    if (at >= 0 && length >= 0 && at + length <= this.file.length) return at;
    throw new GraphError('this checkpoint is damaged: it points beyond its end');
  }

  /** Where the field of a slot lies; 0 when it is left out. */
  #field(at: number, index: number): number {
    this.#checked(at, 4);
    const layout = this.#checked(at - this.#bytes.readInt32(at), 4);
    const size = this.#bytes.readUint16(layout);
    const offset = slot(index) < size ? this.#bytes.readUint16(this.#checked(layout + slot(index), 2)) : 0;
    return offset === 0 ? 0 : this.#checked(at + offset, 4);
  }

  #target(at: number): number {
    return this.#checked(at + this.#bytes.readInt32(at), 4);
  }

  root(): number {
    return this.#target(this.#checked(0, 8));
  }

  int32(at: number, index: number): number {
    const field = this.#field(at, index);
    return field === 0 ? 0 : this.#bytes.readInt32(field);
  }

  int64(at: number, index: number): number {
    const field = this.#field(at, index);
    return field === 0 ? 0 : Number(this.#bytes.readInt64(this.#checked(field, 8)));
  }

  table(at: number, index: number): number | null {
    const field = this.#field(at, index);
    return field === 0 ? null : this.#target(field);
  }

  /** Where the elements of a vector begin, and how many there are. */
  #vector(at: number, index: number, width: number): { start: number; length: number } {
    const field = this.#field(at, index);
    if (field === 0) return { start: 0, length: 0 };
    const start = this.#target(field);
    const length = this.#bytes.readInt32(start);
    this.#checked(start + 4, length * width);
    return { start: start + 4, length };
  }

  tables(at: number, index: number): number[] {
    const { start, length } = this.#vector(at, index, 4);
    return Array.from({ length }, (_, i) => this.#target(start + 4 * i));
  }

  int64s(at: number, index: number): number[] {
    const { start, length } = this.#vector(at, index, 8);
    return Array.from({ length }, (_, i) => Number(this.#bytes.readInt64(start + 8 * i)));
  }

  bytes(at: number, index: number): Uint8Array {
    const { start, length } = this.#vector(at, index, 1);
    return new Uint8Array(this.file.subarray(start, start + length));
  }

  string(at: number, index: number): string {
    return new TextDecoder().decode(this.bytes(at, index));
  }
}

function readTensor(reader: Reader, at: number): NamedTensor {
  const name = reader.string(at, 0);
  const type = reader.int32(at, 3);
  if (type !== FLOAT32)
    throw new GraphError(`tensor "${name}" of this checkpoint has element type ${type}, not float32`);
  const [shape, raw] = [reader.int64s(at, 2), reader.bytes(at, 4)];
  if (shape.some((size) => size < 0) || raw.byteLength !== 4 * sizeOf(shape))
    throw new GraphError(
      `tensor "${name}" of this checkpoint has ${raw.byteLength} bytes, its shape [${shape.join(',')}] needs others`,
    );
  return { name, shape, data: new Float32Array(raw.buffer) };
}

/**
 * Reads a checkpoint of any binding.
 * @throws GraphError when it is none, of another version, damaged, or says something else than tensors of floats
 */
export function decodeCheckpoint(file: Uint8Array): OnDeviceCheckpoint {
  const identifier = new TextDecoder().decode(file.subarray(4, 8));
  if (identifier !== IDENTIFIER)
    throw new GraphError('this is not an ONNX Runtime checkpoint: the identifier ODTC is missing');
  const reader = new Reader(file);
  const root = reader.root();
  const version = reader.int32(root, 0);
  const module = reader.table(root, 1);
  if (module === null) throw new GraphError('this checkpoint contains no parameters');
  if (version !== VERSION)
    throw new GraphError(
      `this checkpoint is of version ${version}, not ${VERSION} (ONNX Runtime 1.18 and 1.19)`,
    );
  const list = (at: number, index: number) => reader.tables(at, index).map((t) => readTensor(reader, t));
  const [group] = reader.tables(root, 2);
  const optimizer =
    group === undefined
      ? null
      : {
          step: reader.int64(group, 1),
          moments: reader
            .tables(group, 3)
            .map((state) => ({ parameter: reader.string(state, 0), tensors: list(state, 1) })),
        };
  return { trainable: list(module, 0), frozen: list(module, 1), optimizer };
}
