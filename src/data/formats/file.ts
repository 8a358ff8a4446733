import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { constants, createUnzip, unzipSync } from 'node:zlib';
import { fromSystemError, UserError } from '../../errors.js';
import type { Block } from './scan.js';
import { MAX_DEFLATE_RATIO, tooShort, unreadable } from './unreadable.js';

const CHUNK_BYTES = 1 << 20;

/** Size of a regular file in bytes. @throws UserError for anything else: folders, devices, pipes, nothing. */
export async function regularFileSize(path: string): Promise<number> {
  const info = await stat(path).catch((error) => {
    throw fromSystemError(error, path);
  });
  // Opening a pipe would wait for a writer, reading a device may never end.
  if (!info.isFile()) throw unreadable(path, 'this is not a regular file');
  return info.size;
}

/** Memory of its own (offset 0), not cleared. */
function allocate(path: string, bytes: number): Buffer {
  try {
    return Buffer.allocUnsafeSlow(bytes);
  } catch (cause) {
    throw unreadable(path, 'the scan does not fit into memory', { got: `${bytes} bytes`, cause });
  }
}

/** Up to `bytes` bytes from byte `start` of a regular file, in memory of their own; fewer at its end. */
export async function readBytes(path: string, start: number, bytes: number): Promise<Buffer> {
  const size = await regularFileSize(path);
  const buffer = allocate(path, Math.max(0, Math.min(bytes, size - start)));
  let done = 0;
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    while (done < buffer.length) {
      // One system call reads at most 2 GiB.
      const { bytesRead } = await file.read(
        buffer,
        done,
        Math.min(buffer.length - done, 1 << 30),
        start + done,
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch (error) {
    throw fromSystemError(error, path);
  } finally {
    await file?.close();
  }
  return buffer.subarray(0, done);
}

/** The first `bytes` inflated bytes of a gzip file; fewer when it is shorter or broken. */
export async function inflateStart(path: string, bytes: number): Promise<Buffer> {
  const compressed = await readBytes(path, 0, 1 << 12); // inflates to 4 MiB at the very most
  try {
    const flush = { finishFlush: constants.Z_SYNC_FLUSH };
    return unzipSync(compressed, flush).subarray(0, bytes);
  } catch (error) {
    throw unreadable(path, 'the compressed data are broken', { cause: error });
  }
}

/**
 * Reads exactly `bytes` bytes of a block. Memory is taken only for what the file really holds: a plain file
 * must be long enough before anything is allocated, a compressed one makes the buffer grow as it inflates.
 * @returns memory of its own, offset 0
 * @throws UserError when the file is too short, broken, or inflates to more than the block
 */
export async function readBlock(block: Block, bytes: number): Promise<Buffer> {
  const { path, start, inflatedSkip } = block;
  const available = Math.max(0, (await regularFileSize(path)) - start);
  const compressed = inflatedSkip !== undefined;
  const possible = compressed ? available * MAX_DEFLATE_RATIO - inflatedSkip : available;
  if (possible < bytes) throw tooShort(path, `${available} bytes${compressed ? ', compressed' : ''}`, bytes);
  const buffer = compressed
    ? await inflate(path, start, available, inflatedSkip, bytes)
    : await readBytes(path, start, bytes);
  if (buffer.length < bytes) throw tooShort(path, `${buffer.length} bytes`, bytes);
  return buffer;
}

/** Inflates zlib or gzip, drops `skip` bytes and keeps the next `bytes`, which must be the last. */
async function inflate(path: string, start: number, available: number, skip: number, bytes: number) {
  // Scans deflate to about half: four times the compressed size nearly always is enough at once.
  let buffer = allocate(path, Math.min(bytes, 4 * available));
  let position = -skip;
  const source = createReadStream(path, { start, highWaterMark: CHUNK_BYTES });
  const unzip = createUnzip({ chunkSize: CHUNK_BYTES });
  try {
    // The callback is only there because it must be: the loop gets every error, and leaving it ends both streams.
    for await (const chunk of pipeline(source, unzip, () => {}) as AsyncIterable<Buffer>) {
      const end = position + chunk.length;
      if (end > bytes) {
        throw unreadable(path, 'the file holds more than the scan that its header describes', {
          expected: `${bytes} bytes of voxels`,
        });
      }
      if (end > buffer.length) {
        const larger = allocate(path, Math.min(bytes, Math.max(end, 2 * buffer.length)));
        buffer.copy(larger, 0, 0, Math.max(0, position));
        buffer = larger;
      }
      if (end > 0) buffer.set(chunk.subarray(Math.max(0, -position)), Math.max(0, position));
      position = end;
    }
  } catch (error) {
    const known = fromSystemError(error, path);
    if (known instanceof UserError) throw known;
    throw unreadable(path, 'the compressed data are broken or cut off', {
      got: known.message,
      fix: 'copy or download the file again',
      cause: error,
    });
  }
  return buffer.subarray(0, Math.max(0, position));
}
