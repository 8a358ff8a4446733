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
 * there are nodules, hardly meet one twice. All are kept for validation and testing, where LUNA16's folders say what is.
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

/** A scan with the candidates that are kept: some for training, and where it is not known yet what the scan is for. */
function usedScan(id: string, path: string, rows: readonly Row[], options: AdapterOptions) {
  const split = lunaSplit(path);
  const candidates = split === 'validation' || split === 'test' ? rows : thinned(id, rows, options);
  return { id, path, split, candidates, isThinned: candidates.length < rows.length };
}

/** Says that validation and testing lose candidates where the split is drawn only after some were left out. */
function thinningNotes(
  scans: readonly Pick<ReturnType<typeof usedScan>, 'split' | 'isThinned'>[],
  { negatives = NEGATIVES }: AdapterOptions,
): string[] {
  if (!scans.some(({ split, isThinned }) => split === null && isThinned)) return [];
  return [
    `the scans are not in LUNA16's folders subset0 to subset9, and their split is drawn: validation and test keep no more than ${negatives} other candidates for each nodule, too; --negatives all keeps all of them`,
  ];
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
    const used = [...scans]
      .filter(([id]) => rows.has(id))
      .map(([id, path]) => usedScan(id, path, rows.get(id)!, options));
    const sources = used.map(
      ({ id, path, split, candidates }): SampleSource => ({
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
      }),
    );
    const notes = thinningNotes(used, options);
    return { format, sources, problems: absentScans(rows, scans, table.path), notes };
  },
};
