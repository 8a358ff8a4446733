import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fromSystemError, UserError } from '../../errors.js';
import { isFolder } from '../../files.js';
import type { SampleFormat } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import { cropAround } from '../scan/crop.js';
import type { LabelMap, XYZ } from '../scan/volume.js';
import type { StoreFailure } from '../store/arrays.js';
import type { Adapter } from './adapter.js';
import { checkSameGrid, cropChannels, cropLabels, readImage, readMask, spacingOf } from './images.js';

const SIZE: XYZ = [64, 64, 32];
/** Voxels of the crop around the tumour, which becomes SIZE. */
const CROP: XYZ = [100, 100, 50];
/** Labels of BraTS: necrosis, oedema, and enhancing tumour, which is 4, or 3 in newer years. */
const LABELS = 4;

/** Channels in their order, and how the file names of several years end. */
const MODALITIES = {
  flair: /[_-](flair|t2f)\./i,
  t1: /[_-](t1|t1n)\./i,
  t1ce: /[_-](t1ce|t1c|t1gd)\./i,
  t2: /[_-](t2|t2w)\./i,
} as const;
const MASK = /[_-]seg\./i;

/** The middle of a mask's bounding box, in voxels. @throws UserError for an empty mask */
function middleOfMask({ voxels, size: [width, height] }: LabelMap, where: string): XYZ {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [-1, -1, -1];
  for (const [at, label] of voxels.entries()) {
    if (label === 0) continue;
    const place = [at % width, Math.floor(at / width) % height, Math.floor(at / (width * height))];
    for (const axis of [0, 1, 2]) {
      low[axis] = Math.min(low[axis]!, place[axis]!);
      high[axis] = Math.max(high[axis]!, place[axis]!);
    }
  }
  if (high[0]! < 0) throw new UserError('input', { what: 'this mask is empty', where, expected: 'a tumour' });
  return [0, 1, 2].map((axis) => (low[axis]! + high[axis]!) / 2) as unknown as XYZ;
}

/** The files of one patient, by modality, or what is missing. */
function filesOf(folder: string): { channels: string[]; mask: string } | UserError {
  const names = readdirSync(folder).filter((name) => /\.nii(\.gz)?$/i.test(name));
  const found = (pattern: RegExp) => names.find((name) => pattern.test(name));
  const missing = Object.entries({ ...MODALITIES, seg: MASK }).filter(([, pattern]) => !found(pattern));
  if (missing.length > 0)
    return new UserError('input', {
      what: 'the files of a patient are incomplete',
      where: folder,
      got: names.length > 0 ? names.join(', ') : 'no .nii or .nii.gz files',
      expected: `also ${missing.map(([name]) => name).join(', ')}`,
      fix: 'add the files, or leave the folder out',
    });
  const path = (pattern: RegExp) => join(folder, found(pattern)!);
  return { channels: Object.values(MODALITIES).map(path), mask: path(MASK) };
}

/** Folders that hold images, at any depth. */
function patientFolders(input: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(input, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    throw fromSystemError(error, input);
  }
  const folders = entries.map((name) => join(input, name)).filter(isFolder);
  return folders.filter((folder) => readdirSync(folder).some((name) => /\.nii(\.gz)?$/i.test(name))).sort();
}

/** Brain tumour segmentation: four contrasts, the whole tumour. */
export const bmsAdapter: Adapter = {
  describe: 'BraTS: one folder per patient, with _flair, _t1, _t1ce, _t2 and _seg',
  takes: ['spacing', 'normalise'],
  async open(input, options) {
    const folders = patientFolders(input);
    if (folders.length === 0)
      throw new UserError('input', {
        what: 'there are no BraTS patients here',
        where: input,
        expected: 'folders such as BraTS18_1/BraTS18_1_flair.nii.gz, with _t1, _t1ce, _t2 and _seg',
      });
    const size = options.size ?? SIZE;
    const spacing = options.spacing ?? (CROP.map((n, axis) => n / SIZE[axis]!) as unknown as XYZ);
    const normalise = options.normalise ?? 'minmax';
    const format: SampleFormat = {
      ...{ task: 'bms', kind: 'segmentation', classes: ['whole tumour'] },
      ...{ size, channels: Object.keys(MODALITIES).length, ...valuesOf(normalise) },
    };
    const problems: StoreFailure[] = [];
    const sources = folders.flatMap((folder): SampleSource[] => {
      const id = basename(folder);
      const files = filesOf(folder);
      if (files instanceof UserError) {
        const kept = { source: id, message: files.facts.what };
        problems.push({ source: id, message: files.message, kept });
        return [];
      }
      const source: SampleSource = {
        id,
        split: null,
        origin: { files: [...files.channels, files.mask], facts: { spacing, normalise } },
        read: async () => {
          const channels = [];
          for (const path of files.channels) channels.push(await readImage(path));
          const [first] = channels;
          checkSameGrid(channels, files.channels);
          const labels = await readMask(files.mask, first!, LABELS);
          const tumour = { ...labels, voxels: labels.voxels.map((label) => (label > 0 ? 1 : 0)) };
          const grid = cropAround(first!, middleOfMask(tumour, files.mask), size, spacing);
          return [
            {
              ...{ id, patient: id, spacing: spacingOf(first!, grid), label: null },
              ...{ image: cropChannels(channels, grid, normalise), mask: cropLabels(tumour, grid) },
            },
          ];
        },
      };
      return [source];
    });
    return { format, sources, problems };
  },
};
