import { join } from 'node:path';
import { writeMetaImage } from '../data/scan/metaimage.js';
import { writeNifti } from '../data/scan/nifti.js';
import { voxelCount } from '../data/scan/scan.js';
import type { XYZ } from '../data/scan/volume.js';
import { checkInteger, UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { makePhantom } from '../phantom/chest.js';
import type { Nodule } from '../phantom/nodules.js';
import { type Reporting, silent } from '../progress.js';
import { toCsv } from '../tables/csv.js';
import { markFolder } from './marked-folder.js';

export interface WritePhantomsOptions extends Reporting {
  /** Folder, new, empty, or of the same call before: scans go to `scans/`, ground truth to `ground-truth/`. */
  readonly out: string;
  readonly scans: number;
  /** Voxels, x×y×z; default 192×192×96. */
  readonly size?: XYZ;
  /** Another one gives other patients; default 1. */
  readonly seed?: number;
  /** Default `nii.gz`. */
  readonly format?: 'nii.gz' | 'mhd';
}

export interface PhantomsSummary {
  readonly scans: readonly { readonly path: string; readonly nodules: number }[];
  /** All nodules, in the format of LUNA16's annotations.csv. */
  readonly annotations: string;
}

const LEAST_SIDE = 16;
/** 512×512×512: a scan then takes 1.5 GB of memory while it is made. */
const MOST_VOXELS = 2 ** 27;

export const PHANTOM_SIZE: XYZ = [192, 192, 96];

/** What phantoms are made of. @throws UserError for numbers that make none */
export function checkedPhantoms({
  scans,
  size = PHANTOM_SIZE,
  seed = 1,
}: Pick<WritePhantomsOptions, 'scans' | 'size' | 'seed'>): { scans: number; size: XYZ; seed: number } {
  checkInteger('--scans', scans, 1);
  if (!Number.isSafeInteger(seed))
    throw new UserError('usage', { what: 'a seed must be an integer', where: '--seed', got: String(seed) });
  const isPossible = size.every((side) => Number.isInteger(side) && side >= LEAST_SIDE);
  if (!isPossible || voxelCount(size) > MOST_VOXELS)
    throw new UserError('usage', {
      what: 'phantoms cannot have this size',
      where: '--size',
      got: size.join('x'),
      expected: `integers, at least ${LEAST_SIDE} voxels per side, at most ${MOST_VOXELS.toLocaleString('en')} in total`,
    });
  return { scans, size, seed };
}

/**
 * Makes the folder of phantoms. One that holds anything else is refused, phantoms of other options too: they would be mixed.
 * @param layout that of a task, or the format of scans
 * @throws UserError
 */
export const markPhantoms = (out: string, layout: string, made: ReturnType<typeof checkedPhantoms>): void =>
  markFolder(out, { command: 'phantom', options: { layout, ...made } });

const annotation =
  (id: string) =>
  ({ world, diameterMm }: Nodule) => [id, ...[...world, diameterMm].map((mm) => mm.toFixed(3))];

/**
 * Writes phantom chest CTs with ground truth: masks of lungs and nodules, and annotations.csv as LUNA16 has it.
 * The same options write the same bytes.
 * @throws UserError for impossible options, a folder of something else or of phantoms of other options, and when the disk is full
 * @example
 * await writePhantoms({ out: 'phantoms', scans: 4, size: [64, 64, 48] });
 */
export async function writePhantoms(options: WritePhantomsOptions): Promise<PhantomsSummary> {
  const made = checkedPhantoms(options);
  const { scans, size, seed } = made;
  const { out, format = 'nii.gz', reporter = silent } = options;
  markPhantoms(out, format, made);
  const [scanFolder, truth] = [join(out, 'scans'), join(out, 'ground-truth')];
  for (const folder of [scanFolder, truth]) makeFolder(folder);
  const written: { path: string; nodules: number }[] = [];
  const lines: string[][] = [];
  const progress = reporter.start({ label: 'phantom', total: scans, unit: 'scans' });
  try {
    for (let index = 0; index < scans; index++) {
      const id = `phantom-${String(index).padStart(4, '0')}`;
      const { volume, masks, nodules } = makePhantom({ seed, index, size });
      await writeNifti(join(truth, `${id}_lungs.nii.gz`), masks.lung);
      await writeNifti(join(truth, `${id}_nodules.nii.gz`), masks.nodule);
      const path = join(scanFolder, `${id}.${format}`);
      if (format === 'mhd') await writeMetaImage(path, volume);
      else await writeNifti(path, volume);
      lines.push(...nodules.map(annotation(id)));
      written.push({ path, nodules: nodules.length });
      progress.update(index + 1);
    }
  } finally {
    progress.stop();
  }
  const annotations = join(truth, 'annotations.csv');
  writeFileAtomic(annotations, toCsv(['seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm'], lines));
  return { scans: written, annotations };
}
