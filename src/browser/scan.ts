import { checkCompression, HEADER_BYTES, parseNiftiHeader } from '../data/formats/nifti-header.js';
import { decodeVoxels, voxelBytes } from '../data/formats/scan.js';
import { MAX_DEFLATE_RATIO, tooShort, unreadable } from '../data/formats/unreadable.js';
import type { Volume } from '../data/volume.js';
import { UserError } from '../errors.js';

/** Copies pieces into one, as far as they go. */
function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece.subarray(0, bytes - end), end);
    end = Math.min(bytes, end + piece.length);
  }
  return whole;
}

/** Reads pieces until there are as many bytes, or no more. @returns how many bytes there are now */
async function readUntil(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  pieces: Uint8Array[],
  bytes: number,
): Promise<number> {
  let read = pieces.reduce((sum, { length }) => sum + length, 0);
  while (read < bytes) {
    const { value } = await reader.read();
    if (!value) break;
    pieces.push(value);
    read += value.length;
  }
  return read;
}

const gunzip = () =>
  new DecompressionStream('gzip') as {
    readable: ReadableStream<Uint8Array>;
    writable: WritableStream<Uint8Array>;
  };

/**
 * Reads a scan that a user chose: `.nii` or `.nii.gz`. It is inflated piece by piece, and no further than its header says.
 * @returns HU on an LPS grid, axes as stored
 * @throws UserError of kind `input` when the file is broken, not what its name says, or not a 3-D scan
 * @example
 * const volume = await readScan(file);
 */
export async function readScan(file: File): Promise<Volume> {
  const { name } = file;
  if (!/\.nii(\.gz)?$/i.test(name))
    throw unreadable(name, 'this is not a scan that can be read here', { expected: '.nii or .nii.gz' });
  const gzip = /\.gz$/i.test(name);
  checkCompression(name, gzip, new Uint8Array(await file.slice(0, 2).arrayBuffer()));
  const plain: ReadableStream<Uint8Array> = file.stream();
  const reader = (gzip ? plain.pipeThrough(gunzip()) : plain).getReader();
  try {
    const pieces: Uint8Array[] = [];
    const start = joined(pieces, Math.min(HEADER_BYTES, await readUntil(reader, pieces, HEADER_BYTES)));
    const { offset, ...scan } = parseNiftiHeader(name, start, 'n+');
    const bytes = voxelBytes(scan);
    if (file.size * (gzip ? MAX_DEFLATE_RATIO : 1) < offset + bytes)
      throw tooShort(name, `${file.size} bytes${gzip ? ', compressed' : ''}`, bytes);
    const read = await readUntil(reader, pieces, offset + bytes);
    if (read < offset + bytes) throw tooShort(name, `${Math.max(0, read - offset)} bytes`, bytes);
    return decodeVoxels(name, scan, joined(pieces, offset + bytes).slice(offset));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(name, 'the file cannot be read, or its compressed data are broken', {
      got: error instanceof Error ? error.message : String(error),
      fix: 'copy or download the file again',
      cause: error,
    });
  } finally {
    await reader.cancel().catch(() => {});
  }
}
