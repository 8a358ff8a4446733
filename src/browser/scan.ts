import { checkCompression, HEADER_BYTES, parseNiftiHeader } from '../data/scan/nifti-header.js';
import { voxelBytes } from '../data/scan/scan.js';
import { MAX_DEFLATE_RATIO, tooShort, unreadable } from '../data/scan/unreadable.js';
import type { Volume } from '../data/scan/volume.js';
import { VoxelBuilder } from '../data/scan/voxel-builder.js';
import { UserError } from '../errors.js';
import { inflating, START_BYTES } from './gunzip.js';

/** At most the first `bytes` bytes of pieces. */
function firstBytes(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const first: number[] = [];
  for (const piece of pieces) first.push(...piece.subarray(0, bytes - first.length));
  return Uint8Array.from(first);
}

/** Reads pieces until they have as many bytes, or there are no more. */
async function readPieces(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  bytes: number,
): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for (let read = 0; read < bytes; ) {
    const { value } = await reader.read();
    if (!value) break;
    pieces.push(value);
    read += value.length;
  }
  return pieces;
}

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
  const start = new Uint8Array(await file.slice(0, START_BYTES).arrayBuffer());
  checkCompression(name, gzip, start);
  const plain: ReadableStream<Uint8Array> = file.stream();
  const reader = (gzip ? plain.pipeThrough(inflating(start)) : plain).getReader();
  try {
    const pieces = await readPieces(reader, HEADER_BYTES);
    const { offset, ...scan } = parseNiftiHeader(name, firstBytes(pieces, HEADER_BYTES), 'n+');
    const bytes = voxelBytes(scan);
    if (file.size * (gzip ? MAX_DEFLATE_RATIO : 1) < offset + bytes)
      throw tooShort(name, `${file.size} bytes${gzip ? ', compressed' : ''}`, bytes);
    const builder = new VoxelBuilder(name, scan);
    let inflated = 0;
    const take = (piece: Uint8Array) => {
      builder.write(piece.subarray(Math.max(0, offset - inflated)));
      inflated += piece.length;
    };
    pieces.forEach(take);
    while (inflated < offset + bytes) {
      const { value } = await reader.read();
      if (!value) throw tooShort(name, `${Math.max(0, inflated - offset)} bytes`, bytes);
      take(value);
    }
    return builder.finish();
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
