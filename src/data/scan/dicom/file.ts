/** Opening a DICOM file: its data set up to the pixels, and where those lie. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { constants, inflateRawSync } from 'node:zlib';
import { fromSystemError } from '../../../errors.js';
import {
  Dataset,
  type Element,
  type Encoding,
  NeedsMoreBytes,
  NotElements,
  readElement,
  type Tag,
  UNDEFINED_LENGTH,
} from './dataset.js';
import { guessSyntax, type Syntax, syntaxOf } from './syntax.js';

export interface DicomFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  /** Without those for pixels and what follows. */
  readonly dataset: Dataset;
  readonly syntaxUid: string;
  /** Undefined when it is not supported. */
  readonly syntax: Syntax | undefined;
  /** Where the value of the pixel data lies in the file, or in what it inflates to; null without any. */
  readonly pixels: {
    /** Whether they are floating-point numbers, single or double. */
    readonly float: boolean;
    readonly vr: string;
    readonly start: number;
    readonly length: number | undefined;
  } | null;
  /** Byte at which the data set begins, behind the file's own header. */
  readonly bodyStart: number;
  /** Why its elements could not be read to their end. */
  readonly flaw: string | null;
}

/** Most headers are shorter; those with more are read again, eight times as far. */
const FIRST_BYTES = 1 << 14;
/** By then an image has said its size; documents and films are not read any further. */
const MOST_BEFORE_IMAGE = 1 << 23;
const ROWS: Tag = 0x00280010;
/** Longer than any header, also of thousands of frames. */
const MAX_HEADER_BYTES = 1 << 28;

/**
 * @returns null for a file that is no DICOM by its content
 * @throws UserError when it cannot be read
 */
export async function openDicomFile(path: string): Promise<DicomFile | null> {
  let handle: FileHandle | undefined;
  try {
    const info = await stat(path);
    // Opening a pipe would wait for a writer, reading a device may never end.
    if (!info.isFile() || info.size < 8) return null;
    handle = await open(path);
    for (let length = FIRST_BYTES; ; length *= 8) {
      const start = await readStart(handle, Math.min(length, info.size));
      const parsed = parseStart(start, start.length >= Math.min(info.size, MAX_HEADER_BYTES));
      if (parsed === 'not DICOM') return null;
      if (parsed !== 'more') return { path, bytes: info.size, modifiedMs: info.mtimeMs, ...parsed };
    }
  } catch (error) {
    throw fromSystemError(error, path);
  } finally {
    await handle?.close();
  }
}

async function readStart(handle: FileHandle, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

type Parsed = Omit<DicomFile, 'path' | 'bytes' | 'modifiedMs'>;

const META: Syntax = { name: 'file meta information', explicit: true, littleEndian: true };
const TRANSFER_SYNTAX_UID: Tag = 0x00020010;
const PIXEL_DATA: Tag = 0x7fe00010;
const FLOAT_PIXEL_DATA: readonly Tag[] = [0x7fe00008, 0x7fe00009];
const isPixelData = (tag: Tag) => tag === PIXEL_DATA || FLOAT_PIXEL_DATA.includes(tag);

/** @param whole whether there is no more to be read */
function parseStart(bytes: Buffer, whole: boolean): Parsed | 'more' | 'not DICOM' {
  const marked = bytes.toString('latin1', 128, 132) === 'DICM';
  const bare = bytes[0] === 2 && bytes[1] === 0 && /^[A-Z]{2}$/.test(bytes.toString('latin1', 4, 6));
  try {
    const meta = marked || bare ? readMeta(bytes, marked ? 132 : 0) : { uid: '', end: 0 };
    const syntax = meta.uid === '' ? guessSyntax(bytes, meta.end) : syntaxOf(meta.uid);
    if (!syntax && meta.uid === '' && !marked) return 'not DICOM';
    // All that are not known have explicit elements; it is pixels that they write in their own ways.
    const encoding = syntax ?? META;
    const [body, start] = syntax?.deflated ? [inflateStart(bytes.subarray(meta.end)), 0] : [bytes, meta.end];
    const parsed = {
      ...parseBody(body, start, encoding, whole),
      ...{ syntaxUid: meta.uid, syntax, bodyStart: meta.end },
    };
    const image = parsed.dataset.has(ROWS) || bytes.length < MOST_BEFORE_IMAGE;
    if (parsed.flaw === 'more') return image ? 'more' : { ...parsed, flaw: null };
    const recognised = marked || bare || parsed.dataset.has(0x00080016) || parsed.dataset.has(0x00080060);
    return recognised ? (parsed as Parsed) : 'not DICOM';
  } catch (error) {
    if (!(error instanceof NeedsMoreBytes || error instanceof NotElements)) throw error;
    if (error instanceof NeedsMoreBytes && !whole) return 'more';
    if (!marked) return 'not DICOM';
    const dataset = new Dataset(bytes, META);
    return {
      ...{ dataset, syntaxUid: '', syntax: META, bodyStart: 0, pixels: null },
      flaw: 'the file ends within its header',
    };
  }
}

/** The transfer syntax, and where the data set begins. */
function readMeta(bytes: Buffer, start: number): { uid: string; end: number } {
  const meta = new Dataset(bytes, META);
  let end = start;
  // Its length, which it begins with, is often wrong: it ends where its group does.
  while (end + 8 <= bytes.length && bytes.readUInt16LE(end) === 2) {
    const { start: value, length } = readElement(bytes, end, META);
    if (value + length > bytes.length) throw new NeedsMoreBytes();
    meta.parse(end, value + length);
    end = value + length;
  }
  return { uid: meta.text(TRANSFER_SYNTAX_UID), end };
}

function parseBody(bytes: Buffer, start: number, encoding: Encoding, whole: boolean) {
  const dataset = new Dataset(bytes, encoding);
  try {
    const last = dataset.parse(start, bytes.length, isPixelData);
    if (!last && !whole) return { dataset, pixels: null, flaw: 'more' };
    return { dataset, pixels: last ? pixelsAt(last) : null, flaw: null };
  } catch (error) {
    if (error instanceof NeedsMoreBytes)
      return { dataset, pixels: null, flaw: whole ? 'the file ends within its header' : 'more' };
    if (error instanceof NotElements) return { dataset, pixels: null, flaw: error.message };
    throw error;
  }
}

const pixelsAt = ({ tag, vr, start, length }: Element) => ({
  ...{ float: tag !== PIXEL_DATA, vr, start },
  length: length === UNDEFINED_LENGTH ? undefined : length,
});

/** As much as a part of a deflated data set gives; of a broken one, nothing. */
function inflateStart(bytes: Buffer): Buffer {
  try {
    return inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_HEADER_BYTES });
  } catch {
    return Buffer.alloc(0);
  }
}
