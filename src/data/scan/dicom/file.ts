/** Opening a DICOM file: its data set up to the pixel data, and where that is. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { fromSystemError } from '../../../errors.js';
import {
  Dataset,
  type Element,
  type Encoding,
  NeedsMoreBytes,
  NotElements,
  readElement,
  UNDEFINED_LENGTH,
} from './dataset.js';
import { inflateRaw } from './deflate.js';
import { guessSyntax, type Syntax, syntaxOf } from './syntax.js';
import { TAGS, type Tag } from './tags.js';

export interface DicomFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  /** Up to the pixel data. */
  readonly dataset: Dataset;
  readonly syntaxUid: string;
  /** Undefined when it is not supported. */
  readonly syntax: Syntax | undefined;
  /** Where the pixel data is in the file, or in the inflated data set; null without any. */
  readonly pixels: {
    /** Whether it is Float Pixel Data or Double Float Pixel Data. */
    readonly float: boolean;
    readonly vr: string;
    readonly start: number;
    readonly length: number | undefined;
  } | null;
  /** Offset of the data set, after the file meta information. */
  readonly bodyStart: number;
  /** Why the data set could not be read to its end; null if it could. */
  readonly flaw: string | null;
}

/** Bytes that are read first: most headers are shorter. For longer ones, eight times as many are read. */
const FIRST_BYTES = 1 << 14;
/** Bytes within which an image has its size; documents and videos are not read further. */
export const MOST_BEFORE_IMAGE = 1 << 23;
/** Longer than any header, even of thousands of frames. */
const MAX_HEADER_BYTES = 1 << 28;
/** The same for a deflated header of a small file. Larger files may have more: as many times their size. */
const MAX_INFLATED_BYTES = 1 << 24;
const MAX_INFLATED_RATIO = 32;

/**
 * @returns null for a file whose content is not DICOM
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
      const parsed = await parseStart(start, length, info.size);
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
const PIXEL_DATA: readonly Tag[] = [TAGS.PixelData, TAGS.FloatPixelData, TAGS.DoubleFloatPixelData];
const isPixelData = (tag: Tag) => PIXEL_DATA.includes(tag);

/** The beginning of a data set, inflated. */
interface Body {
  readonly bytes: Buffer;
  /** Offset of its first element. */
  readonly start: number;
  /** What is wrong if it has more elements; {@link MORE} if nothing is. */
  readonly lack: string;
}

const MORE = 'more';
const ENDS = 'the file ends within its header';
const tooLong = (bytes: number) => `its header is longer than ${Math.floor(bytes / 2 ** 20)} MiB`;

/**
 * @param length of the beginning that is to be parsed; there are fewer bytes where the file ends before
 * @param fileBytes bytes of the whole file
 */
async function parseStart(
  bytes: Buffer,
  length: number,
  fileBytes: number,
): Promise<Parsed | typeof MORE | 'not DICOM'> {
  const marked = bytes.toString('latin1', 128, 132) === 'DICM';
  const bare = bytes[0] === 2 && bytes[1] === 0 && /^[A-Z]{2}$/.test(bytes.toString('latin1', 4, 6));
  // The file may have become shorter meanwhile.
  const whole = bytes.length < length;
  const lack = whole ? ENDS : bytes.length < MAX_HEADER_BYTES ? MORE : tooLong(MAX_HEADER_BYTES);
  try {
    const meta = marked || bare ? readMeta(bytes, marked ? 132 : 0) : { uid: '', end: 0 };
    const syntax = meta.uid === '' ? guessSyntax(bytes, meta.end) : syntaxOf(meta.uid);
    if (!syntax && meta.uid === '' && !marked) return 'not DICOM';
    // Other transfer syntaxes differ in their pixel data only: all of them have explicit VR, little endian.
    const encoding = syntax ?? META;
    const body: Body = syntax?.deflated
      ? await inflateBody(bytes.subarray(meta.end), whole, length, fileBytes)
      : { bytes, start: meta.end, lack };
    const parsed = { ...parseBody(body, encoding), ...{ syntaxUid: meta.uid, syntax, bodyStart: meta.end } };
    const image = parsed.dataset.has(TAGS.Rows) || body.bytes.length < MOST_BEFORE_IMAGE;
    if (parsed.flaw === MORE) return image ? MORE : { ...parsed, flaw: null };
    const recognised =
      marked || bare || parsed.dataset.has(TAGS.SOPClassUID) || parsed.dataset.has(TAGS.Modality);
    return recognised ? parsed : 'not DICOM';
  } catch (error) {
    if (!(error instanceof NeedsMoreBytes || error instanceof NotElements)) throw error;
    if (error instanceof NeedsMoreBytes && lack === MORE) return MORE;
    if (!marked) return 'not DICOM';
    const dataset = new Dataset(bytes, META);
    return { ...{ dataset, syntaxUid: '', syntax: META, bodyStart: 0, pixels: null }, flaw: ENDS };
  }
}

/** The transfer syntax UID, and the offset of the data set. */
function readMeta(bytes: Buffer, start: number): { uid: string; end: number } {
  const meta = new Dataset(bytes, META);
  let end = start;
  // The group length is often wrong, so that the end of group 2 is looked for.
  while (end + 8 <= bytes.length && bytes.readUInt16LE(end) === 2) {
    const { start: value, length } = readElement(bytes, end, META);
    if (value + length > bytes.length) throw new NeedsMoreBytes();
    meta.parse(end, value + length);
    end = value + length;
  }
  return { uid: meta.text(TAGS.TransferSyntaxUID), end };
}

function parseBody({ bytes, start, lack }: Body, encoding: Encoding) {
  const dataset = new Dataset(bytes, encoding);
  try {
    const last = dataset.parse(start, bytes.length, isPixelData);
    if (last || lack === ENDS) return { dataset, pixels: last ? pixelsAt(last) : null, flaw: null };
  } catch (error) {
    if (error instanceof NotElements) return { dataset, pixels: null, flaw: error.message };
    if (!(error instanceof NeedsMoreBytes)) throw error;
  }
  return { dataset, pixels: null, flaw: lack };
}

const pixelsAt = ({ tag, vr, start, length }: Element) => ({
  ...{ float: tag !== TAGS.PixelData, vr, start },
  length: length === UNDEFINED_LENGTH ? undefined : length,
});

/** The beginning of a deflated data set. @param whole whether these are all its bytes */
async function inflateBody(
  deflated: Buffer,
  whole: boolean,
  length: number,
  fileBytes: number,
): Promise<Body> {
  const most = Math.min(MAX_HEADER_BYTES, Math.max(MAX_INFLATED_BYTES, MAX_INFLATED_RATIO * fileBytes));
  const wanted = Math.min(length, most);
  try {
    const bytes = await inflateRaw(deflated, 0, wanted);
    const more = wanted < most ? MORE : tooLong(most);
    return { bytes, start: 0, lack: whole && bytes.length < wanted ? ENDS : more };
  } catch {
    return { bytes: Buffer.alloc(0), start: 0, lack: 'its deflated data are corrupt' };
  }
}
