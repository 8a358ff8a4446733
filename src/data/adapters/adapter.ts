import { UserError } from '../../errors.js';
import type { LabelledData } from '../samples/source.js';
import type { FindOptions } from '../scan/index.js';
import type { Normalisation } from '../scan/normalise.js';
import type { XYZ } from '../scan/volume.js';

/** What a table says of a sample. */
export const COLUMN_NAMES = ['image', 'mask', 'label', 'patient', 'split', 'id'] as const;
export type ColumnName = (typeof COLUMN_NAMES)[number];

/** What may be asked of an adapter; each has defaults of its own. */
export interface AdapterOptions extends Pick<FindOptions, 'keepUids' | 'passedOver'> {
  /** Voxels of a sample. */
  readonly size?: XYZ;
  /** mm between the voxels of a sample; the scans' own without it. */
  readonly spacing?: XYZ;
  readonly normalise?: Normalisation;
  /** Names of the classes, in the order of their numbers. */
  readonly classes?: readonly string[];
  /** Where a table's columns are found, as `{column}` in a text. */
  readonly columns?: Readonly<Partial<Record<ColumnName, string>>>;
  /** Of candidates that are no nodule, how many are kept for training for each that is one; `Infinity` for all. */
  readonly negatives?: number;
  /** Of whatever is drawn; default 1. */
  readonly seed?: number;
}

/** Options that only some layouts have a use for. */
export type OwnOption = 'spacing' | 'normalise' | 'classes' | 'columns' | 'negatives';

/** Reads data sets of one layout. */
export interface Adapter {
  /** One line for the help. */
  readonly describe: string;
  readonly takes?: readonly OwnOption[];
  /**
   * Looks at a data set without reading any image.
   * @param input a file or folder
   * @throws UserError when it is no such data set
   */
  open(input: string, options: AdapterOptions): Promise<LabelledData>;
}

/** @throws UserError when columns are named of a data set that has no table to read them from */
export function refuseColumns({ columns = {} }: AdapterOptions, input: string): void {
  if (Object.keys(columns).length > 0)
    throw new UserError('usage', {
      what: 'this data set has no table whose columns could be named',
      where: '--column',
      got: input,
      expected: 'a table of images, or nodule crops with labels.csv',
    });
}
