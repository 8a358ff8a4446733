import { permutation, randomStream } from '../../random.js';
import { binaryIn, type Row } from '../../tables/table.js';
import type { SampleFormat } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import type { XYZ } from '../scan/volume.js';
import type { Adapter, AdapterOptions } from './adapter.js';
import { absentScans, byScan, cropPlaces, lunaScans, lunaSplit, placeOf, tableIn } from './candidates.js';

const SIZE: XYZ = [64, 64, 32];
const TABLES = ['candidates_V2.csv', 'candidates.csv'];
const COLUMNS = ['seriesuid', 'coordX', 'coordY', 'coordZ', 'class'];

/**
 * Candidates that are no nodule, in training, for each that is one: so many that balanced epochs, which draw as many as
 * there are nodules, hardly meet one twice. All are kept for validation and testing.
 */
const NEGATIVES = 50;

const isNodule = ({ cells }: Row) => Number(cells.class) === 1;

/** All nodules of a scan, and some of the rest. */
function thinned(
  id: string,
  rows: readonly Row[],
  { negatives = NEGATIVES, seed = 1 }: AdapterOptions,
): readonly Row[] {
  const others = rows.filter((row) => !isNodule(row));
  const count = negatives * Math.max(1, rows.length - others.length);
  const drawn = [...permutation(randomStream(seed, 'candidates', id), others.length)].slice(0, count);
  const kept = new Set(drawn.map((i) => others[i]!));
  return rows.filter((row) => isNodule(row) || kept.has(row));
}

/** Nodule false positives of LUNA16: is a candidate a nodule? */
export const nccAdapter: Adapter = {
  describe: 'LUNA16: subset*/*.mhd and candidates_V2.csv',
  takes: ['spacing', 'normalise', 'negatives'],
  async open(input, options) {
    const scans = await lunaScans(input, options);
    const table = tableIn(input, TABLES, COLUMNS);
    const rows = byScan(table, 'seriesuid');
    const format: SampleFormat = {
      ...{ task: 'ncc', kind: 'classification', classes: ['no nodule', 'nodule'] },
      ...{ size: options.size ?? SIZE, channels: 1, ...valuesOf(options.normalise) },
    };
    const { spacing, normalise } = options;
    const sources = [...scans]
      .filter(([id]) => rows.has(id))
      .map(([id, path]): SampleSource => {
        const split = lunaSplit(path);
        const own = rows.get(id)!;
        const candidates = split === 'validation' || split === 'test' ? own : thinned(id, own, options);
        return {
          id,
          split,
          origin: {
            files: [path],
            facts: { spacing, normalise, places: candidates.map(({ cells }) => cells) },
          },
          read: () => {
            const places = candidates.map((row, i) => ({
              ...placeOf(row),
              id: `${id}-${String(i).padStart(4, '0')}`,
              label: binaryIn(row, 'class'),
            }));
            return cropPlaces(path, id, places, format.size, options);
          },
        };
      });
    return { format, sources, problems: absentScans(rows, scans, table.path) };
  },
};
