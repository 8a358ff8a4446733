/** Which fields of a scan's header are shown: others hold what somebody wrote, and that may be about the patient. */
import type { ScanHeader } from '../data/scan/index.js';

/** Of MetaIO, without those for free text (`Name`, `Comment`), identifiers and dates. */
const META_IMAGE: ReadonlySet<string> = new Set([
  ...['ObjectType', 'ObjectSubType', 'NDims', 'DimSize', 'HeaderSize', 'Modality', 'SequenceID'],
  ...['BinaryData', 'BinaryDataByteOrderMSB', 'ElementByteOrderMSB'],
  ...['CompressedData', 'CompressedDataSize', 'CompressionLevel'],
  ...['TransformMatrix', 'Rotation', 'Orientation', 'Offset', 'Position', 'Origin', 'CenterOfRotation'],
  ...['AnatomicalOrientation', 'DistanceUnits', 'ElementSpacing', 'ElementSize', 'ElementType'],
  ...['ElementNumberOfChannels', 'ElementMin', 'ElementMax', 'ElementDataFile'],
  ...['ElementToIntensityFunctionSlope', 'ElementToIntensityFunctionOffset'],
]);

/** Of the definition of NRRD, without those for free text (`content`, `labels`); in lower case, without blanks. */
const NRRD: ReadonlySet<string> = new Set([
  ...['dimension', 'type', 'sizes', 'blocksize', 'endian', 'encoding', 'datafile', 'lineskip', 'byteskip'],
  ...['min', 'max', 'oldmin', 'oldmax', 'number', 'sampleunits', 'units', 'kinds', 'centers', 'centerings'],
  ...['spacings', 'thicknesses', 'axismins', 'axismaxs', 'measurementframe'],
  ...['space', 'spacedimension', 'spaceunits', 'spaceorigin', 'spacedirections'],
]);

/** Of NIfTI: all others are numbers, and its signature. */
const NIFTI_TEXTS: ReadonlySet<string> = new Set(['description', 'aux_file', 'intent_name']);

function isTechnical(format: string, name: string): boolean {
  if (format === 'MetaImage') return META_IMAGE.has(name);
  if (format === 'NRRD') return NRRD.has(name.toLowerCase().replaceAll(/\s+/g, ''));
  return !NIFTI_TEXTS.has(name);
}

/** The technical fields of a header, and how many others there are that are not empty. */
export function technicalFields({ format, fields }: Pick<ScanHeader, 'format' | 'fields'>): {
  shown: Record<string, string>;
  others: number;
} {
  const entries = Object.entries(fields);
  const shown = entries.filter(([name]) => isTechnical(format, name));
  const others = entries.filter(([name, value]) => !isTechnical(format, name) && value !== '');
  return { shown: Object.fromEntries(shown), others: others.length };
}
