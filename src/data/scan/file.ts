import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { constants, createUnzip, unzipSync } from 'node:zlib';
import { fromSystemError } from '../../errors.js';
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
    throw unreadable(path, 'the scan does not fit in memory', { got: `${bytes} bytes`, cause });
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
    throw unreadable(path, 'the compressed data are corrupt', { cause: error });
  }
}

/** Where voxels lie in a file as they are, or in a compressed stream. */
interface Place {
  readonly path: string;
  /** Byte of the file at which the voxels, or their compressed stream, begin. */
  readonly start: number;
  /** Set when the stream is zlib or gzip: how many inflated bytes come before the voxels. */
  readonly inflatedSkip?: number;
}

/** Voxels that are read as a file has them, inflated where they are compressed. What lies behind them is passed over. */
export const fileBlock = (place: Place): Block => ({
  path: place.path,
  skippedBytes: place.inflatedSkip ?? 0,
  check: (bytes) => checkHolds(place, bytes),
  read: (bytes) => readPlace(place, bytes),
});

async function checkHolds({ path, start, inflatedSkip }: Place, bytes: number): Promise<void> {
  const available = Math.max(0, (await regularFileSize(path)) - start);
  const compressed = inflatedSkip !== undefined;
  const possible = compressed ? available * MAX_DEFLATE_RATIO - inflatedSkip : available;
  if (possible < bytes) throw tooShort(path, `${available} bytes${compressed ? ', compressed' : ''}`, bytes);
}

async function* readPlace(place: Place, bytes: number): AsyncGenerator<Uint8Array> {
  const { path, start, inflatedSkip } = place;
  let read = 0;
  try {
    for await (const piece of inflatedSkip === undefined
      ? createReadStream(path, { start, end: start + bytes - 1, highWaterMark: CHUNK_BYTES })
      : inflate(path, start, inflatedSkip)) {
      if (read < bytes) yield piece.subarray(0, bytes - read);
      read += piece.length;
      // Going on to the end of an ordinary stream checks its checksum; one that goes on for long is left.
      if (read > bytes + CHUNK_BYTES) break;
    }
  } catch (error) {
    throw brokenStream(path, error);
  }
  if (read < bytes) throw tooShort(path, `${read} bytes`, bytes);
}

/** Inflates zlib or gzip, and drops the first `skip` bytes. */
async function* inflate(path: string, start: number, skip: number): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { start, highWaterMark: CHUNK_BYTES });
  const unzip = createUnzip({ chunkSize: CHUNK_BYTES });
  let left = skip;
  // The callback is only there because it must be: the loop gets every error, and leaving it ends both streams.
  for await (const piece of pipeline(source, unzip, () => {}) as AsyncIterable<Buffer>) {
    if (piece.length > left) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

/** Whether an error comes from inflating: the data are broken, not the disk. */
const isOfZlib = (error: Error) => 'code' in error && /^Z_/.test(String(error.code));

function brokenStream(path: string, error: unknown): Error {
  const known = fromSystemError(error, path);
  if (!isOfZlib(known)) return known;
  return unreadable(path, 'the compressed data are corrupt or truncated', {
    got: known.message,
    fix: 'copy or download the file again',
    cause: error,
  });
}
