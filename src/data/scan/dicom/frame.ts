/** Reading the frames of DICOM files. */
import type { NumberArray } from '../elements.js';
import { readBytes, regularFileSize } from '../file.js';
import { MAX_DEFLATE_RATIO, tooShort, unreadable } from '../unreadable.js';
import { decodeFrame } from './codecs.js';
import { ITEM } from './dataset.js';
import { inflateRaw } from './deflate.js';
import type { PixelFormat } from './pixels.js';

/** More pixels than any slice has: a small compressed file can claim more. */
const MAX_FRAME_PIXELS = 1 << 24;

const frameBytes = ({ columns, rows, bitsAllocated }: PixelFormat) => (columns * rows * bitsAllocated) / 8;

/** Checks before it is read whether a file can hold a frame. @throws UserError when it cannot */
export async function checkFrame(path: string, format: PixelFormat, frame: number): Promise<void> {
  const { syntax, start, length, columns, rows } = format;
  const size = await regularFileSize(path);
  if (columns * rows > MAX_FRAME_PIXELS)
    throw unreadable(path, 'the image is too large', {
      got: `${columns}×${rows} pixels`,
      expected: `at most ${MAX_FRAME_PIXELS} pixels`,
    });
  if (syntax.codec) {
    if (size <= start) throw tooShort(path, `${size} bytes`, start);
    return;
  }
  const bytes = (frame + 1) * frameBytes(format);
  checkLength(path, length, bytes);
  const end = start + bytes;
  if (syntax.deflated ? end > size * MAX_DEFLATE_RATIO : end > size) {
    const available = Math.max(0, size - start);
    throw tooShort(path, `${available} bytes${syntax.deflated ? ', compressed' : ''}`, bytes);
  }
}

/**
 * Checks whether pixel data that is not compressed has as many bytes: others would be read from what lies behind it.
 * @param length in bytes, as the file states it; undefined for fragments
 * @throws UserError when it has fewer
 */
export function checkLength(path: string, length: number | undefined, bytes: number): void {
  if (length === undefined)
    throw unreadable(path, 'the pixel data is in fragments, but not compressed according to its header', {
      got: 'pixel data of undefined length',
      expected: `${bytes} bytes in one piece`,
      fix: 'export the file again, or correct its transfer syntax',
    });
  if (length < bytes)
    throw unreadable(path, 'the pixel data is too short for the image that the header describes', {
      got: `${length} bytes`,
      expected: `${bytes} bytes`,
      fix: 'export the file again',
    });
}

/** The stored values of a frame, in the byte order of this machine. @throws UserError when the file is too short or broken */
export async function readFrame(path: string, format: PixelFormat, frame: number): Promise<NumberArray> {
  const { syntax, start, bitsAllocated, wordBytes } = format;
  if (syntax.codec) return decodeFrame(path, await readEncoded(path, format, frame), format);
  const bytes = frameBytes(format);
  const from = start + frame * bytes;
  const stored = syntax.deflated
    ? await inflated(path, format.bodyStart, from, bytes)
    : await readBytes(path, from, bytes);
  if (stored.length < bytes) throw tooShort(path, `${stored.length} bytes`, bytes);
  if (!syntax.littleEndian && wordBytes > 1) swapBytes(stored, wordBytes);
  const { buffer, byteOffset } = stored;
  if (bitsAllocated === 8) return new Uint8Array(buffer, byteOffset, bytes);
  return bitsAllocated === 16
    ? new Uint16Array(buffer, byteOffset, bytes / 2)
    : new Uint32Array(buffer, byteOffset, bytes / 4);
}

/** Swaps the bytes of each word. */
function swapBytes(bytes: Buffer, wordBytes: number): void {
  const whole = bytes.subarray(0, bytes.length - (bytes.length % wordBytes));
  if (wordBytes === 2) whole.swap16();
  else whole.swap32();
}

/** Some bytes of a deflated data set, or fewer where it ends before. */
async function inflated(path: string, bodyStart: number, from: number, bytes: number): Promise<Buffer> {
  const deflated = await readBytes(path, bodyStart, await regularFileSize(path));
  try {
    return await inflateRaw(deflated, from, bytes);
  } catch (cause) {
    throw unreadable(path, 'the deflated data are corrupt', {
      fix: 'copy or download the file again',
      cause,
    });
  }
}

/** A fragment of encapsulated pixel data. */
interface Fragment {
  /** Offset in the file. */
  readonly start: number;
  readonly length: number;
  /** Its first two bytes. */
  readonly mark: number;
}

/** The fragments of each frame, by file. */
const tables = new WeakMap<PixelFormat, Promise<readonly (readonly Fragment[])[]>>();

/** The bytes of a compressed frame. @throws UserError when it has none, or it cannot be told where they are */
export async function readEncoded(path: string, format: PixelFormat, frame: number): Promise<Buffer> {
  const table = tables.get(format) ?? fragmentTable(path, format);
  tables.set(format, table);
  const pieces: Buffer[] = [];
  for (const { start, length } of (await table)[frame]!) pieces.push(await readBytes(path, start, length));
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** The fragments of each frame. @throws UserError when the frames cannot be told apart */
async function fragmentTable(path: string, format: PixelFormat): Promise<readonly (readonly Fragment[])[]> {
  const { frames } = format;
  const { fragments, offsets } = await listFragments(path, format);
  if (fragments.length === 0) throw tooShort(path, '0 bytes', frameBytes(format));
  if (frames === 1) return [fragments];
  if (fragments.length === frames) return fragments.map((fragment) => [fragment]);
  const first = fragments[0]!.start - ITEM_BYTES;
  const begins = (fragment: Fragment) =>
    offsets.length > 0
      ? offsets.includes(fragment.start - ITEM_BYTES - first)
      : IMAGE_MARKS.includes(fragment.mark);
  const groups: Fragment[][] = [];
  for (const fragment of fragments) {
    if (begins(fragment)) groups.push([fragment]);
    else groups.at(-1)?.push(fragment);
  }
  if (groups.length === frames) return groups;
  throw unreadable(path, 'the compressed frames cannot be told apart', {
    got: `${fragments.length} fragments`,
    expected: `${frames} frames`,
  });
}

/** Start markers of JPEG images (SOI) and of JPEG 2000 codestreams (SOC). */
const IMAGE_MARKS = [0xffd8, 0xff4f];
const ITEM_BYTES = 8;
/** Bytes that are read at a time; most slices have no more. */
const WINDOW_BYTES = 1 << 16;

/** All fragments in order, and the basic offset table, which may be empty. */
async function listFragments(path: string, { start, frames }: PixelFormat) {
  const fragments: Fragment[] = [];
  let offsets: number[] = [];
  let window: Buffer = Buffer.alloc(0);
  let windowStart = 0;
  const bytesAt = async (at: number, count: number) => {
    if (at < windowStart || at + count > windowStart + window.length) {
      window = await readBytes(path, at, Math.max(count, WINDOW_BYTES));
      windowStart = at;
    }
    return window.subarray(at - windowStart, at - windowStart + count);
  };
  for (let at = start, item = 0; ; item++) {
    const head = await bytesAt(at, ITEM_BYTES + 2);
    if (head.length < ITEM_BYTES || head.readUInt16LE(0) * 0x10000 + head.readUInt16LE(2) !== ITEM) break;
    const length = head.readUInt32LE(4);
    at += ITEM_BYTES;
    if (item === 0) {
      const table = await bytesAt(at, Math.min(length, 4 * frames));
      offsets = Array.from({ length: Math.floor(table.length / 4) }, (_, i) => table.readUInt32LE(4 * i));
    } else fragments.push({ start: at, length, mark: head.length < 10 ? 0 : head.readUInt16BE(ITEM_BYTES) });
    at += length;
  }
  return { fragments, offsets };
}
