/** Tensors as one piece of memory with a table of contents, on their way to a page. */
import { arrayOf, type ElementType, sizeOf } from '../../../graphs/onnx/types.js';
import type { EngineTensor, Tensors } from '../../runtime/engine.js';

interface Entry {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly offset: number;
}

export interface Packed {
  readonly contents: readonly Entry[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Elements of any type begin at multiples of this. */
const ALIGNMENT = 8;

export function pack(tensors: Tensors): Packed {
  const contents: Entry[] = [];
  let end = 0;
  for (const [name, { type, shape, data }] of Object.entries(tensors)) {
    contents.push({ name, type, shape, offset: end });
    end += Math.ceil(data.byteLength / ALIGNMENT) * ALIGNMENT;
  }
  const bytes = new Uint8Array(end);
  for (const { name, offset } of contents) {
    const { buffer, byteOffset, byteLength } = tensors[name]!.data;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
  }
  return { contents, bytes };
}

export function unpack({ contents, bytes }: Packed): Tensors {
  return Object.fromEntries(
    contents.map(({ name, type, shape, offset }): [string, EngineTensor] => {
      const data = new (arrayOf(type) as Float32ArrayConstructor)(bytes.buffer, offset, sizeOf(shape));
      return [name, { type, shape, data }];
    }),
  );
}
