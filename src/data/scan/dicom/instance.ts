/** What series are made of: the kind of each file, and the positions and properties of its images. No patient data. */

import type { XYZ } from '../volume.js';
import { type Dataset, NeedsMoreBytes, NotElements } from './dataset.js';
import { type DicomFile, MOST_BEFORE_IMAGE } from './file.js';
import { type FunctionalGroups, functionalGroups } from './functional-groups.js';
import { NotScan } from './not-scan.js';
import type { PixelFormat } from './pixels.js';
import { type Plane, placeOf } from './plane.js';
import { TAGS } from './tags.js';

/** An image with a position in the patient: a file, or one frame of a file. */
export interface Slice {
  readonly path: string;
  readonly frame: number;
  /** SOPInstanceUID, which copies of an image share. */
  readonly uid: string;
  /** Centre of its first pixel, LPS mm. */
  readonly position: XYZ;
  readonly plane: Plane;
  readonly pixels: PixelFormat;
  readonly slope: number;
  readonly intercept: number;
  /** Lowest and highest stored value of padding; null without any. */
  readonly padding: readonly [number, number] | null;
  /** Values by which acquisitions and reconstructions in one series may differ. */
  readonly marks: Readonly<Record<Mark, string | number | undefined>>;
  /** InstanceNumber, which copies of an image share. */
  readonly number: string;
}

/** In the order in which a series is divided by them. */
export const MARKS = [
  'acquisition',
  'temporalPosition',
  'imageType',
  'kernel',
  'stack',
  'echoTime',
  'acquisitionTime',
] as const;
export type Mark = (typeof MARKS)[number];

/** A file of a series. */
export interface Instance {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly seriesUid: string;
  readonly modality: string;
  readonly content:
    | { readonly kind: 'slices'; readonly slices: readonly Slice[] }
    | {
        readonly kind: 'segmentation';
        /** SOPInstanceUID. */
        readonly uid: string;
        /** Of the series that it was drawn on; empty where it does not say. */
        readonly referencedSeriesUid: string;
      }
    /** What it is instead of a scan, or what is broken. */
    | { readonly kind: 'other' | 'broken'; readonly what: string };
}

const STORAGE = '1.2.840.10008.5.1.4.1.1';

/** What is never a scan, by SOP class and by modality. */
const OTHER_CLASSES: readonly [string, string][] = [
  [`${STORAGE}.7`, 'a secondary capture'],
  [`${STORAGE}.481.2`, 'a radiotherapy dose'],
  [`${STORAGE}.481.3`, 'an RTSTRUCT'],
  [`${STORAGE}.481.5`, 'a radiotherapy plan'],
  [`${STORAGE}.11`, 'a presentation state'],
  [`${STORAGE}.88.67`, 'a dose report'],
  [`${STORAGE}.88`, 'a structured report'],
  [`${STORAGE}.104`, 'a document'],
  [`${STORAGE}.9`, 'a waveform'],
  [`${STORAGE}.30`, 'a parametric map'],
  [`${STORAGE}.66.4`, 'a segmentation'],
  [`${STORAGE}.66.5`, 'a surface segmentation'],
];
const OTHER_MODALITIES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    SR: 'a structured report',
    RTSTRUCT: 'an RTSTRUCT',
    RTDOSE: 'a radiotherapy dose',
    RTPLAN: 'a radiotherapy plan',
    PR: 'a presentation state',
    KO: 'a selection of key images',
    SEG: 'a segmentation',
  }),
);

/** Reads what series need to know of a file. */
export function instanceOf(file: DicomFile): Instance {
  const { path, bytes, modifiedMs, dataset } = file;
  return {
    ...{ path, bytes, modifiedMs },
    seriesUid: dataset.text(TAGS.SeriesInstanceUID),
    modality: /^[A-Z]{2,16}$/.exec(dataset.text(TAGS.Modality))?.[0] ?? '',
    content: contentOf(file),
  };
}

function contentOf(file: DicomFile): Instance['content'] {
  try {
    if (classOf(file.dataset) === 'a segmentation' && !file.flaw && file.syntax)
      return {
        kind: 'segmentation',
        uid: file.dataset.text(TAGS.SOPInstanceUID),
        referencedSeriesUid: referencedSeries(file.dataset),
      };
    const other = classOf(file.dataset);
    if (other) return { kind: 'other', what: other };
    if (file.flaw !== null) return { kind: 'broken', what: `a broken file: ${file.flaw}` };
    checkImage(file);
    return { kind: 'slices', slices: slicesOf(file) };
  } catch (error) {
    if (error instanceof NotScan) return { kind: 'other', what: error.message };
    if (error instanceof NeedsMoreBytes || error instanceof NotElements)
      return { kind: 'broken', what: 'a broken file: its sequences cannot be read' };
    throw error;
  }
}

const classOf = (dataset: Dataset): string | undefined => {
  if (dataset.has(TAGS.DirectoryRecordSequence)) return 'a DICOMDIR, the directory of a medium';
  const uid = dataset.text(TAGS.SOPClassUID);
  const byClass = OTHER_CLASSES.find(([prefix]) => uid === prefix || uid.startsWith(`${prefix}.`));
  return byClass?.[1] ?? OTHER_MODALITIES.get(dataset.text(TAGS.Modality));
};

const referencedSeries = (dataset: Dataset): string =>
  dataset.item(TAGS.ReferencedSeriesSequence)?.text(TAGS.SeriesInstanceUID) ?? '';

/** @throws NotScan for what is not a monochrome image of integers */
function checkImage({ dataset, syntax, syntaxUid, pixels }: DicomFile): void {
  if (dataset.texts(TAGS.ImageType).some((word) => /^(LOCALIZER|SCOUT)/i.test(word)))
    throw new NotScan('a localiser');
  if (!pixels)
    throw new NotScan(
      dataset.bytes.length < MOST_BEFORE_IMAGE
        ? 'an object without an image'
        : `an object without an image in its first ${MOST_BEFORE_IMAGE / 2 ** 20} MiB`,
    );
  if (!syntax) {
    const uid = /^[\d.]{1,64}$/.exec(syntaxUid)?.[0];
    throw new NotScan(
      uid
        ? `an image in the transfer syntax ${uid}, which is not supported`
        : 'an image whose transfer syntax the file does not name',
    );
  }
  if (pixels.float) throw new NotScan('an image of floating-point numbers');
  if (dataset.has(TAGS.ModalityLUTSequence)) throw new NotScan('an image whose values are in a lookup table');
  if (
    (dataset.number(TAGS.SamplesPerPixel) ?? 1) !== 1 ||
    /PALETTE/.test(dataset.text(TAGS.PhotometricInterpretation))
  )
    throw new NotScan('a colour image');
}

/** @throws NotScan when pixels are stored in a way that is impossible or not supported */
export function pixelFormat(file: DicomFile): PixelFormat {
  const { dataset, syntax, pixels } = file;
  const bitsAllocated = dataset.number(TAGS.BitsAllocated) ?? 0;
  const bitsStored = dataset.number(TAGS.BitsStored) ?? bitsAllocated;
  const format: PixelFormat = {
    columns: dataset.number(TAGS.Columns) ?? 0,
    rows: dataset.number(TAGS.Rows) ?? 0,
    frames: Number.parseInt(dataset.text(TAGS.NumberOfFrames) || '1', 10),
    ...{ bitsAllocated, bitsStored },
    highBit: dataset.number(TAGS.HighBit) ?? bitsStored - 1,
    signed: dataset.number(TAGS.PixelRepresentation) === 1,
    ...{ syntax: syntax!, start: pixels!.start, length: pixels!.length, bodyStart: file.bodyStart },
    wordBytes: bitsAllocated === 8 && pixels!.vr === 'OW' ? 2 : bitsAllocated / 8,
  };
  const { highBit, columns, rows, frames } = format;
  if (![8, 16, 32].includes(bitsAllocated))
    throw new NotScan(`an image with ${bitsAllocated} bits per pixel, where 8, 16 or 32 are supported`);
  if (!(bitsStored >= 1 && bitsStored <= highBit + 1 && highBit < bitsAllocated))
    throw new NotScan(`an image whose pixels have impossible bits: ${bitsStored} up to bit ${highBit}`);
  if (!(columns >= 1 && rows >= 1 && frames >= 1)) throw new NotScan('an image without a size');
  return format;
}

function slicesOf(file: DicomFile): Slice[] {
  const pixels = pixelFormat(file);
  const { dataset } = file;
  const frames = functionalGroups(dataset);
  if (frames.length > 0) {
    if (frames.length !== pixels.frames)
      throw new NotScan(`a multi-frame image that describes ${frames.length} of its ${pixels.frames} frames`);
    return frames.map((groups, i) => sliceOf(file, pixels, i, groups));
  }
  if (pixels.frames > 1) throw new NotScan('a multi-frame image whose frames have no position');
  return [sliceOf(file, pixels, 0, () => dataset)];
}

function sliceOf(file: DicomFile, pixels: PixelFormat, frame: number, groups: FunctionalGroups): Slice {
  const { dataset, path } = file;
  const values = groups(TAGS.PixelValueTransformationSequence);
  const [slope = 1] = values.decimals(TAGS.RescaleSlope);
  const [intercept = 0] = values.decimals(TAGS.RescaleIntercept);
  if (slope === 0 || !Number.isFinite(slope) || !Number.isFinite(intercept))
    throw new NotScan(`an image whose rescale slope and intercept are impossible: ${slope}, ${intercept}`);
  const content = groups(TAGS.FrameContentSequence);
  return {
    ...{ path, frame, pixels, slope, intercept },
    uid: dataset.text(TAGS.SOPInstanceUID),
    ...placeOf(groups),
    padding: paddingOf(dataset, pixels),
    marks: {
      acquisition: content.number(TAGS.FrameAcquisitionNumber) ?? dataset.text(TAGS.AcquisitionNumber),
      temporalPosition:
        content.number(TAGS.TemporalPositionIndex) ?? dataset.text(TAGS.TemporalPositionIdentifier),
      imageType: dataset.text(TAGS.ImageType),
      kernel: groups(TAGS.CTReconstructionSequence).text(TAGS.ConvolutionKernel),
      stack: content.text(TAGS.StackID),
      echoTime:
        groups(TAGS.MREchoSequence).number(TAGS.EffectiveEchoTime, 'FD') ?? dataset.text(TAGS.EchoTime),
      acquisitionTime: dataset.text(TAGS.AcquisitionTime),
    },
    number: dataset.text(TAGS.InstanceNumber),
  };
}

/** The value, or a range with PixelPaddingRangeLimit. Some programs write them as unsigned numbers for signed pixels. */
function paddingOf(dataset: Dataset, { signed, bitsStored }: PixelFormat): [number, number] | null {
  const vr = signed ? 'SS' : 'US';
  const value = dataset.number(TAGS.PixelPaddingValue, vr);
  if (value === undefined) return null;
  const limit = dataset.number(TAGS.PixelPaddingRangeLimit, vr) ?? value;
  const asStored = (padding: number) =>
    signed && padding >= 2 ** (bitsStored - 1) ? padding - 2 ** bitsStored : padding;
  const range = [asStored(value), asStored(limit)];
  return [Math.min(...range), Math.max(...range)];
}
