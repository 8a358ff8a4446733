/** How DICOM segmentations store the labels of their frames. */
import { readBytes, regularFileSize } from '../file.js';
import { tooShort, unreadable } from '../unreadable.js';
import { type Dataset, NeedsMoreBytes, NotElements } from './dataset.js';
import type { DicomFile } from './file.js';
import { checkFrame, checkLength, readFrame } from './frame.js';
import { pixelFormat } from './instance.js';
import { NotScan } from './not-scan.js';
import { TAGS } from './tags.js';

/** The labels of a segmentation. */
export interface Labels {
  /** @throws UserError when the file cannot hold so many frames */
  check(frames: number): Promise<void>;
  /** The number of its segment for each pixel of a frame, 0 for none. */
  read(frame: number, segment: number | null): Promise<Uint8Array>;
}

export const typeOf = (dataset: Dataset) =>
  /^[A-Z]{1,16}$/.exec(dataset.text(TAGS.SegmentationType))?.[0] ?? 'BINARY';

/** How a file stores its labels. @param pixels of a frame @throws UserError where that is broken or not supported */
export function labelsOf(path: string, file: DicomFile, pixels: number): Labels {
  const { dataset, syntax, flaw } = file;
  const type = typeOf(dataset);
  const bits = dataset.number(TAGS.BitsAllocated) ?? 0;
  if (flaw !== null || !file.pixels) throw broken(path, flaw ?? 'no pixels');
  // Big-endian words of bits would have to be swapped; no program is known to write them.
  const plainBits = !syntax?.codec && !syntax?.deflated && (syntax?.littleEndian || file.pixels.vr !== 'OW');
  if (type === 'BINARY' && bits === 1 && plainBits) return binaryLabels(file.path, file.pixels, pixels);
  if (type === 'FRACTIONAL' && bits === 8) return fractionalLabels(path, file);
  if (type === 'LABELMAP' && (bits === 8 || bits === 16)) return labelMap(path, file);
  throw unreadable(path, 'segmentations of this kind are not supported', {
    got: `${type}, ${bits} bits, ${syntax?.name}`,
    expected: 'BINARY of 1 bit, not compressed; FRACTIONAL of 8 bits; or LABELMAP of 8 or 16 bits',
    fix: 'convert it to NIfTI or NRRD with another program, for example segimage2itkimage of dcmqi',
  });
}

/** A bit for each pixel. Frames follow one another bit by bit: only some begin at a byte. */
const binaryLabels = (
  path: string,
  { start, length }: NonNullable<DicomFile['pixels']>,
  pixels: number,
): Labels => ({
  async check(frames) {
    const bytes = Math.ceil((frames * pixels) / 8);
    checkLength(path, length, bytes);
    const available = (await regularFileSize(path)) - start;
    if (available < bytes) throw tooShort(path, `${Math.max(0, available)} bytes`, bytes);
  },
  async read(frame, segment) {
    const firstBit = frame * pixels;
    const bytes = await readBytes(path, start + Math.floor(firstBit / 8), Math.ceil(pixels / 8) + 1);
    const labels = new Uint8Array(pixels);
    for (let i = 0, bit = firstBit % 8; i < pixels; i++, bit++)
      if ((bytes[bit >> 3]! >> (bit & 7)) & 1) labels[i] = segment!;
    return labels;
  },
});

/** A fraction for each pixel. It must be 0 or 1, as in highdicom: choosing a threshold is up to the user. */
function fractionalLabels(path: string, file: DicomFile): Labels {
  const whole = file.dataset.number(TAGS.MaximumFractionalValue) ?? 255;
  const label = (value: number, segment: number) => {
    if (value !== 0 && value !== whole)
      throw unreadable(path, 'the segmentation holds probabilities', {
        got: `${value} of ${whole}`,
        expected: `a mask: 0 or ${whole} in each voxel`,
        fix: 'make a mask of it first, for example in Python with highdicom: segread(FILE).get_volume().array >= 0.5',
      });
    return value === 0 ? 0 : segment;
  };
  return storedLabels(path, file, label);
}

/** The number of a segment for each pixel. */
function labelMap(path: string, file: DicomFile): Labels {
  return storedLabels(path, file, (value) => {
    if (value > 255) throw unsupportedSegment(path, value);
    return value;
  });
}

function storedLabels(
  path: string,
  file: DicomFile,
  label: (value: number, segment: number) => number,
): Labels {
  const format = described(path, () => pixelFormat(file));
  return {
    check: (frames) => checkFrame(file.path, format, frames - 1),
    async read(frame, segment) {
      const values = await readFrame(file.path, format, frame);
      return Uint8Array.from(values, (value) => label(value, segment ?? 0));
    },
  };
}

export const unsupportedSegment = (path: string, segment: number) =>
  unreadable(path, 'the segmentation has segments that are not supported', {
    got: `segment ${segment}`,
    expected: 'numbers from 1 to 255',
  });

/** What a header says. @throws UserError when the header is broken */
export function described<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotScan) throw broken(path, error.message);
    if (error instanceof NeedsMoreBytes || error instanceof NotElements)
      throw broken(path, 'sequences that cannot be read');
    throw error;
  }
}

export const broken = (path: string, got: string, expected?: string) =>
  unreadable(path, 'the segmentation is broken', { got, ...(expected && { expected }) });
