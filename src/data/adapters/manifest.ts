import { join } from 'node:path';
import { UserError } from '../../errors.js';
import { isFolder } from '../../files.js';
import type { SampleFormat } from '../samples/manifest.js';
import type { LabelledData, RawSample, SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import { cropAround, middleOf } from '../scan/crop.js';
import { NAME_DIGITS } from '../scan/dicom/catalogue.js';
import { parseScanPath, scanPath } from '../scan/dicom/scan-path.js';
import { scanExtension } from '../scan/extensions.js';
import { findScans } from '../scan/index.js';
import type { XYZ } from '../scan/volume.js';
import { type StoreFailure, sha256 } from '../store/arrays.js';
import { identifyScans, pairScans } from '../store/sources.js';
import { type Adapter, type AdapterOptions, refuseColumns } from './adapter.js';
import { findOptions } from './candidates.js';
import { checkSameGrid, cropChannels, cropLabels, readMask, readScan, spacingOf } from './images.js';
import { type Item, itemsOfTable } from './manifest-table.js';

const SIZE: XYZ = [64, 64, 32];
const MASK_FOLDERS = ['labels', 'masks', 'labelsTr', 'nodule_mask', 'mask'];
const IMAGE_FOLDERS = ['images', 'imagesTr', 'image'];

/** An item that has all that its samples are made of. */
interface MarkedItem extends Item {
  readonly id: string;
  /** The sample of its first image that comes first, where none is named. */
  readonly patient: string;
  readonly images: readonly string[];
}

/** A folder with one of images and one of masks, whose files lie at the same places in them, or have the same names. */
async function itemsOfFolders(input: string, options: AdapterOptions): Promise<Item[]> {
  refuseColumns(options, input);
  const [images, masks] = [IMAGE_FOLDERS, MASK_FOLDERS].map((names) =>
    names.map((name) => join(input, name)).find(isFolder),
  );
  if (!images || !masks)
    throw new UserError('input', {
      what: 'this folder contains no images with masks',
      where: input,
      expected: `folders such as ${IMAGE_FOLDERS[0]} and ${MASK_FOLDERS[0]}, or a table of images`,
      fix: 'use a CSV with the columns image and mask or label',
    });
  const imagePaths = await findScans([images], findOptions(options));
  const maskPaths = await findScans([masks], { ...findOptions(options), segmentations: true });
  const pairs = pairScans({ folder: images, paths: imagePaths }, { folder: masks, paths: maskPaths });
  return [...identifyScans(imagePaths)].map(([id, image]) => ({
    where: image,
    id,
    patient: id,
    split: null,
    images: [image],
    mask: pairs.get(image) ?? null,
    label: null,
  }));
}

/** A label without the decimals that pandas writes for integers next to blanks: `1.0` is 1. */
const wholeLabel = (label: string) => (/^-?\d+\.0*$/.test(label) ? String(Number(label)) : label);

/** Class names by what the tables say: those that were given, or all that occur, sorted. */
function classNames(items: readonly Item[], { classes }: AdapterOptions): string[] {
  if (classes) return [...classes];
  const found = [...new Set(items.map(({ label }) => wholeLabel(label!)))];
  return found.sort((a, b) => Number(a) - Number(b) || a.localeCompare(b));
}

/** The class of a name. */
const indexOfName = (label: string, classes: readonly string[]) =>
  Math.max(classes.indexOf(label), classes.indexOf(wholeLabel(label)));

/** Whether labels are numbers of classes, from 0, where the classes were named: the names of none of them, or not of all. */
function areNumbers(items: readonly Item[], classes: readonly string[]): boolean {
  const labels = items.map(({ label }) => label!);
  return (
    labels.some((label) => indexOfName(label, classes) < 0) &&
    labels.every((label) => /^\d+$/.test(wholeLabel(label)))
  );
}

function classOf({ label, where }: Item, classes: readonly string[], byNumber: boolean): number {
  const number = byNumber ? Number(label) : indexOfName(label!, classes);
  if (number >= 0 && number < classes.length) return number;
  throw new UserError('input', {
    what: 'the label is not one of the classes',
    where,
    got: label!,
    expected: classes.join(', '),
  });
}

/**
 * An image as the path that it is named by: DICOM by its series, or where it cannot be read by a hash in its place, as files and folders
 * may be called after the patient.
 */
async function namingPath(path: string, options: AdapterOptions): Promise<string> {
  if (scanExtension(path) || parseScanPath(path)) return path;
  const found = await findScans([path], { keepUids: options.keepUids ?? false }).catch((error) => {
    if (error instanceof UserError) return []; // reading it says so
    throw error;
  });
  const [series, ...others] = found.filter((scan) => parseScanPath(scan));
  return series !== undefined && others.length === 0
    ? series
    : scanPath(path, sha256(path).slice(0, NAME_DIGITS));
}

/** Items by name: what the table calls them, or what tells their first images apart. */
async function named(items: readonly Item[], options: AdapterOptions): Promise<MarkedItem[]> {
  const naming = new Map<string, string>();
  for (const { id, images } of items) {
    const path = images![0]!;
    if (id === null && !naming.has(path)) naming.set(path, await namingPath(path, options));
  }
  const paths = [...new Set(naming.values())];
  const names = new Map([...identifyScans(paths)].map(([name, path]) => [path, name]));
  const ofImage = new Map<string, string>();
  return items.map((item) => {
    const images = item.images!;
    const id = item.id ?? names.get(naming.get(images[0]!)!)!;
    if (!ofImage.has(images[0]!)) ofImage.set(images[0]!, id);
    return { ...item, images, id, patient: item.patient ?? ofImage.get(images[0]!)! };
  });
}

async function readItem(
  item: MarkedItem,
  format: SampleFormat,
  { spacing, normalise }: AdapterOptions,
  byNumber: boolean,
): Promise<RawSample[]> {
  const label = format.kind === 'classification' ? classOf(item, format.classes, byNumber) : null;
  const channels = [];
  for (const path of item.images) channels.push(await readScan(path, normalise));
  checkSameGrid(channels, item.images);
  const [image] = channels;
  const grid = cropAround(image!, middleOf(image!), format.size, spacing);
  const mask =
    format.kind === 'segmentation' ? await readMask(item.mask!, image!, format.classes.length) : null;
  return [
    {
      id: item.id,
      patient: item.patient,
      spacing: spacingOf(image!, grid),
      label,
      image: cropChannels(channels, grid, normalise),
      mask: mask && cropLabels(mask, grid),
    },
  ];
}

/**
 * Any data set of the user's: a table with a line a sample, or folders of images and masks. Samples are crops around
 * the middle of each image.
 */
export const manifestAdapter: Adapter = {
  describe: 'a CSV, TSV or JSON of images with labels or masks, or a folder with images/ and labels/',
  takes: ['spacing', 'normalise', 'classes', 'columns'],
  async open(input, options): Promise<LabelledData> {
    const items = isFolder(input) ? await itemsOfFolders(input, options) : itemsOfTable(input, options);
    const kind =
      items.some(({ label }) => label !== null) && !options.columns?.mask ? 'classification' : 'segmentation';
    const mark = kind === 'classification' ? 'label' : 'mask';
    const marked = await named(
      items.filter((item) => item.images !== null && item[mark] !== null),
      options,
    );
    if (marked.length === 0)
      throw new UserError('input', {
        what: 'no image has a label or a mask',
        where: input,
        expected: 'a column `label` or `mask`',
        fix: 'name their column: --column label={column}',
      });
    const classes =
      kind === 'classification' ? classNames(marked, options) : (options.classes ?? ['foreground']);
    const format: SampleFormat = {
      task: 'manifest',
      kind,
      classes: [...classes],
      size: options.size ?? SIZE,
      channels: marked[0]!.images.length,
      ...valuesOf(options.normalise),
    };
    const { spacing, normalise } = options;
    const byNumber = kind === 'classification' && areNumbers(marked, format.classes);
    const sources = marked.map(
      (item): SampleSource => ({
        id: item.id,
        split: item.split,
        origin: {
          files: [...item.images, ...(kind === 'segmentation' ? [item.mask!] : [])],
          facts: { patient: item.patient, label: item.label, spacing, normalise },
        },
        read: () => readItem(item, format, options, byNumber),
      }),
    );
    const problems = items.flatMap((item, i): StoreFailure[] => {
      if (item.images !== null && item[mark] !== null) return [];
      const message = `it has no ${item.images ? mark : 'image'}`;
      return [{ source: item.where, message, kept: { source: item.id ?? `row ${i + 1}`, message } }];
    });
    return { format, sources, problems };
  },
};
