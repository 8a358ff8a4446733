import { join } from 'node:path';
import { cropAround, cropImage, cropMask } from '../data/scan/crop.js';
import { voxelToWorld, worldToVoxel } from '../data/scan/geometry.js';
import { writeMetaImage } from '../data/scan/metaimage.js';
import { writeNifti } from '../data/scan/nifti.js';
import type { Grid, XYZ } from '../data/scan/volume.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { asInt16 } from '../int16.js';
import { makePhantom, type Phantom } from '../phantom/chest.js';
import { makeBrain, makeLiver } from '../phantom/organs.js';
import { type Reporting, silent } from '../progress.js';
import { randomStream } from '../random.js';
import { toCsv } from '../tables/csv.js';
import { checkedPhantoms, markPhantoms } from './phantom.js';

/** Target tasks whose data sets there are phantoms of. */
export const PHANTOM_TASKS = ['ncc', 'ncs', 'lcs', 'ecc', 'bms'] as const;
export type PhantomTask = (typeof PHANTOM_TASKS)[number];

export interface TaskPhantomOptions extends Reporting {
  readonly task: PhantomTask;
  /** Folder, new, empty, or of the same call before. */
  readonly out: string;
  readonly scans: number;
  /** Voxels, x×y×z; default 192×192×96. */
  readonly size?: XYZ;
  /** Another one gives other patients; default 1. */
  readonly seed?: number;
}

export interface TaskPhantomSummary {
  readonly task: PhantomTask;
  readonly out: string;
  readonly scans: number;
}

/** Places that are no nodule, for each scan. */
const NEGATIVES = 24;
/** mm between such a place and a nodule's surface. */
const APART_MM = 8;
const ATTEMPTS = 4000;
/** mm around a nodule that a crop of it holds at least. */
const CROP_MM = 15;

const idOf = (index: number) => `phantom-${String(index).padStart(4, '0')}`;

/** A folder of the layout. */
function folderIn(out: string, name: string): string {
  const path = join(out, name);
  makeFolder(path, out);
  return path;
}

/** Random places in the lungs, away from all nodules, LPS mm. */
function negativesOf({ volume, masks, nodules }: Phantom, seed: number, index: number): XYZ[] {
  const random = randomStream(seed, 'negative places', index);
  const [width, height] = volume.size;
  const found: XYZ[] = [];
  for (let attempt = 0; attempt < ATTEMPTS && found.length < NEGATIVES; attempt++) {
    const at = volume.size.map((n) => random.integer(n)) as unknown as XYZ;
    if (masks.lung.voxels[at[0] + width * (at[1] + height * at[2])] !== 1) continue;
    const world = voxelToWorld(volume as Grid, at);
    const apart = nodules.every(
      (nodule) =>
        Math.hypot(...world.map((mm, axis) => mm - nodule.world[axis]!)) > nodule.diameterMm / 2 + APART_MM,
    );
    if (apart) found.push(world);
  }
  return found;
}

type Phantoms = Pick<TaskPhantomOptions, 'out'> & Omit<ReturnType<typeof checkedPhantoms>, 'scans'>;

type Lines = (readonly (string | number)[])[];
interface Layout {
  /** Columns of the tables by their name. */
  readonly tables: Readonly<Record<string, readonly string[]>>;
  /** Writes one scan, and its lines of each table, numbers in mm. */
  write(options: Phantoms, index: number, lines: Readonly<Record<string, Lines>>): Promise<void>;
}

const COORDINATES = ['coordX', 'coordY', 'coordZ'];
/** A tenth of a micrometre is enough. */
const rounded = (cell: string | number) => (typeof cell === 'number' ? cell.toFixed(4) : cell);

const phantomOf = ({ seed, size }: Phantoms, index: number) => makePhantom({ seed, index, size });

/** LUNA16: ten folders of scans, candidates and annotations. */
const luna16: Layout = {
  tables: {
    'candidates_V2.csv': ['seriesuid', ...COORDINATES, 'class'],
    'annotations.csv': ['seriesuid', ...COORDINATES, 'diameter_mm'],
  },
  async write(options, index, lines) {
    const phantom = phantomOf(options, index);
    const id = idOf(index);
    const folder = folderIn(options.out, `subset${index % 10}`);
    await writeMetaImage(join(folder, `${id}.mhd`), phantom.volume);
    for (const { world, diameterMm } of phantom.nodules) {
      lines['candidates_V2.csv']!.push([id, ...world, '1']);
      lines['annotations.csv']!.push([id, ...world, diameterMm]);
    }
    for (const world of negativesOf(phantom, options.seed, index))
      lines['candidates_V2.csv']!.push([id, ...world, '0']);
  },
};

/** Crops around the nodules of LIDC-IDRI, as several projects cut them. */
const lidcCrops: Layout = {
  tables: { 'labels.csv': ['file', 'patient_id', 'diameter_mm'] },
  async write(options, index, lines) {
    const { volume, masks, nodules } = phantomOf(options, index);
    const folders = ['image', 'nodule_mask'].map((name) => folderIn(options.out, name));
    for (const [i, { world, diameterMm }] of nodules.entries()) {
      const size = volume.spacing.map((mm) => Math.ceil((diameterMm + 2 * CROP_MM) / mm)) as unknown as XYZ;
      const grid = cropAround(volume, worldToVoxel(volume, world), size);
      const place = { ...volume, size, origin: voxelToWorld(volume, grid.first) };
      const file = `${idOf(index)}_${i}.nii.gz`;
      await writeNifti(join(folders[0]!, file), {
        ...place,
        voxels: asInt16(cropImage(volume, grid, -1000)),
      });
      await writeNifti(join(folders[1]!, file), { ...place, voxels: cropMask(masks.nodule, grid) });
      lines['labels.csv']!.push([file, idOf(index), diameterMm]);
    }
  },
};

/** A list of candidates beside volumes; nodules stand for emboli. */
const candidateList: Layout = {
  tables: { 'candidates.csv': ['volume', ...COORDINATES, 'label', 'patient'] },
  async write(options, index, lines) {
    const phantom = phantomOf(options, index);
    const id = idOf(index);
    await writeNifti(join(options.out, `${id}.nii.gz`), phantom.volume);
    const line = (world: XYZ, label: string) =>
      lines['candidates.csv']!.push([id, ...world, label, `patient ${index}`]);
    for (const { world } of phantom.nodules) line(world, '1');
    for (const world of negativesOf(phantom, options.seed, index)) line(world, '0');
  },
};

const lits: Layout = {
  tables: {},
  async write({ out, seed, size }, index) {
    const { volume, labels } = makeLiver(seed, index, size);
    await writeNifti(join(out, `volume-${index}.nii`), volume);
    await writeNifti(join(out, `segmentation-${index}.nii`), labels);
  },
};

const brats: Layout = {
  tables: {},
  async write({ out, seed, size }, index) {
    const { contrasts, labels } = makeBrain(seed, index, size);
    const id = `Phantom_${String(index).padStart(3, '0')}`;
    const folder = folderIn(out, id);
    for (const [name, volume] of Object.entries(contrasts))
      await writeNifti(join(folder, `${id}_${name}.nii.gz`), volume);
    await writeNifti(join(folder, `${id}_seg.nii.gz`), labels);
  },
};

const LAYOUTS: Readonly<Record<PhantomTask, Layout>> = {
  ncc: luna16,
  ncs: lidcCrops,
  ecc: candidateList,
  lcs: lits,
  bms: brats,
};

/**
 * Writes phantoms in the layout of a target task's real data set, so that `prepare --task` can be tried without it. The
 * same options write the same bytes.
 * @throws UserError for impossible options, a folder of something else or of phantoms of other options, and when the disk is full
 * @example
 * await writeTaskPhantoms({ task: 'ncc', out: 'luna16-phantom', scans: 10, size: [48, 48, 40] });
 */
export async function writeTaskPhantoms(options: TaskPhantomOptions): Promise<TaskPhantomSummary> {
  const { task, out, reporter = silent } = options;
  const { scans, ...made } = checkedPhantoms(options);
  markPhantoms(out, task, { scans, ...made });
  const { tables, write } = LAYOUTS[task];
  const lines = Object.fromEntries(Object.keys(tables).map((name): [string, Lines] => [name, []]));
  const progress = reporter.start({ label: 'phantom', total: scans, unit: 'scans' });
  try {
    for (let index = 0; index < scans; index++) {
      await write({ out, ...made }, index, lines);
      progress.update(index + 1);
    }
  } finally {
    progress.stop();
  }
  for (const [name, columns] of Object.entries(tables)) {
    const rows = lines[name]!.map((line) => line.map(rounded));
    writeFileAtomic(join(out, name), toCsv(columns, rows));
  }
  return { task, out, scans };
}
