import { permutation, randomStream } from '../../random.js';
import type { Row } from '../../tables/table.js';
import type { SampleFormat } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import type { XYZ } from '../volume.js';
import type { Adapter } from './adapter.js';
import { absentScans, byScan, cropPlaces, lunaSplits, placeOf, scansBelow, tableIn } from './candidates.js';
import { valuesOf } from './images.js';

const SIZE: XYZ = [64, 64, 32];
const TABLES = ['candidates_V2.csv', 'candidates.csv'];
const COLUMNS = ['seriesuid', 'coordX', 'coordY', 'coordZ', 'class'];

/** Candidates that are no nodule, in training, for each that is one. All are kept for validation and testing. */
const NEGATIVES = 10;

const isNodule = ({ cells }: Row) => Number(cells.class) === 1;

/** All nodules of a scan, and some of the rest: the same ones every time. */
function thinned(id: string, rows: readonly Row[]): Row[] {
  const others = rows.filter((row) => !isNodule(row));
  const count = NEGATIVES * Math.max(1, rows.length - others.length);
  const drawn = [...permutation(randomStream(1, 'candidates', id), others.length)].slice(0, count);
  const kept = new Set(drawn.map((i) => others[i]!));
  return rows.filter((row) => isNodule(row) || kept.has(row));
}

/** Nodule false positives of LUNA16: is a candidate a nodule? */
export const nccAdapter: Adapter = {
  describe: 'LUNA16: subset*/*.mhd and candidates_V2.csv',
  async open(input, options) {
    const scans = await scansBelow(input);
    const table = tableIn(input, TABLES, COLUMNS);
    const rows = byScan(table, 'seriesuid');
    const splits = lunaSplits(scans);
    const format: SampleFormat = {
      ...{ task: 'ncc', kind: 'classification', classes: ['no nodule', 'nodule'] },
      ...{ size: options.size ?? SIZE, channels: 1, ...valuesOf('hu') },
    };
    const sources = [...scans]
      .filter(([id]) => rows.has(id))
      .map(([id, path]): SampleSource => {
        const split = splits?.get(id) ?? null;
        const candidates =
          split === 'validation' || split === 'test' ? rows.get(id)! : thinned(id, rows.get(id)!);
        return {
          id,
          split,
          read: () => {
            const places = candidates.map((row, i) => ({
              ...placeOf(row),
              id: `${id}-${String(i).padStart(4, '0')}`,
              label: isNodule(row) ? 1 : 0,
            }));
            const { spacing } = options;
            return cropPlaces(path, id, places, format.size, spacing ? { spacing } : {});
          },
        };
      });
    return { format, sources, problems: absentScans(rows, scans, table.path) };
  },
};
