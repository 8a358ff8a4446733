/** Safetensors on the disk. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { fromSystemError } from '../errors.js';
import { type AtomicFile, filledFile } from '../files.js';
import {
  type ByteSource,
  damaged,
  decodeHeader,
  decodeSafetensors,
  encodeSafetensors,
  type NamedTensor,
  type Safetensors,
  type SafetensorsHeader,
} from './safetensors.js';

/** One system call reads at most 2 GiB. */
const MOST_READ_BYTES = 1 << 30;

/** Tensors as a file, whole but for its name. @throws as {@link writeSafetensors} */
export const safetensorsFile = (
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): AtomicFile => filledFile(path, encodeSafetensors(path, tensors, metadata));

/**
 * Writes tensors in their order, one after the other, atomically.
 * @throws UserError when a tensor contradicts itself, or the disk is full; an old file then still stands
 * @example
 * const bias = { name: 'bias', dtype: 'F32', shape: [2], data: Float32Array.of(0, 1) } as const;
 * writeSafetensors('weights.safetensors', [bias], { made_by: 'me' });
 */
export const writeSafetensors = (
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): void => safetensorsFile(path, tensors, metadata).commit();

function readExactly(fd: number, bytes: Uint8Array, position: number): boolean {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(fd, bytes, done, Math.min(bytes.length - done, MOST_READ_BYTES), position + done);
    if (read === 0) return false;
    done += read;
  }
  return true;
}

function withFile<T>(path: string, use: (source: ByteSource) => T): T {
  try {
    // Opening a pipe would wait for a writer.
    if (!statSync(path).isFile()) throw damaged(path, 'something that is not a regular file');
    const fd = openSync(path, 'r');
    try {
      return use({
        name: path,
        bytes: fstatSync(fd).size,
        read: (target, position) => readExactly(fd, target, position),
      });
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

/** Names, types and shapes, without reading the tensors. @throws UserError when the file is damaged */
export const readSafetensorsHeader = (path: string): SafetensorsHeader => withFile(path, decodeHeader);

/**
 * Everything.
 * @throws UserError when the file is missing, cut short or lies about itself
 * @example
 * const { tensors } = readSafetensors('weights.safetensors');
 */
export const readSafetensors = (path: string): Safetensors => withFile(path, decodeSafetensors);
