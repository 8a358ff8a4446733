/** Samples around marked places of scans: what `ncc`, `ncs` and `ecc` have in common. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../../errors.js';
import { readTable } from '../../tables/read.js';
import { numberIn, type Row, requireColumns, type Table } from '../../tables/table.js';
import type { SampleSplit } from '../samples/manifest.js';
import type { LabelledData, RawSample } from '../samples/source.js';
import { type CropGrid, cropAround } from '../scan/crop.js';
import { worldToVoxel } from '../scan/geometry.js';
import { type FindOptions, findScans } from '../scan/index.js';
import type { Volume, XYZ } from '../scan/volume.js';
import { identifyScans } from '../store/sources.js';
import type { AdapterOptions } from './adapter.js';
import { cropChannels, readScan, spacingOf } from './images.js';

/** A place in a scan, LPS mm. */
export interface Place {
  readonly world: XYZ;
  readonly row: Row;
}

/** Scans below a folder by name. */
export const scansBelow = async (input: string, options: AdapterOptions): Promise<Map<string, string>> =>
  identifyScans(await findScans([input], findOptions(options)));

/** Those of an adapter's options that say how scans are found. */
export const findOptions = ({ keepUids = false, passedOver = () => {} }: AdapterOptions): FindOptions => ({
  keepUids,
  passedOver,
});

/** Reads the first of some tables that is in a folder or its `CSVFILES`. @throws UserError naming what is expected */
export function tableIn(input: string, names: readonly string[], columns: readonly string[]): Table {
  const folders = [input, join(input, 'CSVFILES'), dirname(input), join(dirname(input), 'CSVFILES')];
  const path = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  if (path !== undefined) {
    const table = readTable(path);
    requireColumns(table, columns);
    return table;
  }
  throw new UserError('input', {
    what: 'a table is missing',
    where: input,
    expected: `${names.join(' or ')}, there or in CSVFILES, with the columns ${columns.join(', ')}`,
  });
}

/** Where a row's coordinates are. @throws UserError naming the line when one is no number */
export const placeOf = (row: Row): Place => ({
  row,
  world: [numberIn(row, 'coordX'), numberIn(row, 'coordY'), numberIn(row, 'coordZ')],
});

/** Rows by the scan that they are in. */
export function byScan(table: Table, column: string): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  for (const row of table.rows) {
    const id = row.cells[column]!;
    found.set(id, [...(found.get(id) ?? []), row]);
  }
  return found;
}

/** Says which scans of a table are not there, as problems that stop nothing. */
export function absentScans(
  rows: ReadonlyMap<string, readonly Row[]>,
  scans: ReadonlyMap<string, string>,
  table: string,
): LabelledData['problems'] {
  return [...rows]
    .filter(([id]) => !scans.has(id))
    .map(([id, lines]) => ({
      source: id,
      message: `${lines.length} ${lines.length === 1 ? 'line' : 'lines'} of ${table} (${lines[0]!.where}): the scan does not exist`,
      kept: { source: id, message: 'the scan does not exist' },
    }));
}

/** What LUNA16's folders are for: subset0 to 4 train, 5 and 6 validate, 7 to 9 test. Null for a scan in none of them. */
export function lunaSplit(path: string): SampleSplit | null {
  const subset = /.*[\\/]subset(\d)[\\/]/.exec(resolve(path))?.[1];
  if (subset === undefined) return null;
  return Number(subset) <= 4 ? 'train' : Number(subset) <= 6 ? 'validation' : 'test';
}

/**
 * LUNA16's scans by their series UIDs: those of its subsets, where there are any. Beside them lie masks of the lungs, which go by the
 * same names.
 */
export async function lunaScans(input: string, options: AdapterOptions): Promise<Map<string, string>> {
  const found = await findScans([input], findOptions(options));
  const ofSubsets = found.filter((path) => lunaSplit(path) !== null);
  if (ofSubsets.length === 0) return identifyScans(found);
  const others = found.length - ofSubsets.length;
  if (others > 0)
    options.passedOver?.(
      `${input}: passed over: ${others} ${others === 1 ? 'scan' : 'scans'} outside of the folders subset0 to subset9`,
    );
  return identifyScans(ofSubsets);
}

/** What differs between the samples of a scan. */
export interface PlacedSample extends Place {
  readonly id: string;
  readonly label: number | null;
}

/** Crops of a scan around places, on its own voxels or at a spacing. */
export async function cropPlaces(
  path: string,
  patient: string,
  places: readonly PlacedSample[],
  size: XYZ,
  { spacing, normalise }: AdapterOptions,
  mask?: (image: Volume, grid: CropGrid) => Uint8Array,
): Promise<RawSample[]> {
  const image = await readScan(path, normalise);
  return places.map(({ id, label, world, row }) => {
    const centre = worldToVoxel(image, world);
    if (centre.some((at, axis) => at < -0.5 || at > image.size[axis]! - 0.5))
      throw new UserError('input', {
        what: 'this position is outside its scan',
        where: row.where,
        got: world.join(', '),
        expected: `mm in ${path}`,
        fix: 'check that the coordinates are in LPS mm, as in LUNA16',
      });
    const grid = cropAround(image, centre, size, spacing);
    return {
      id,
      patient,
      spacing: spacingOf(image, grid),
      label,
      image: cropChannels([image], grid, normalise),
      mask: mask ? mask(image, grid) : null,
    };
  });
}
