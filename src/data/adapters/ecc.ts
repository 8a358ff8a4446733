import { UserError } from '../../errors.js';
import { binaryIn, type Row } from '../../tables/table.js';
import { SAMPLE_SPLITS, type SampleFormat, type SampleSplit } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import type { XYZ } from '../scan/volume.js';
import type { Adapter } from './adapter.js';
import { absentScans, byScan, cropPlaces, placeOf, scansBelow, tableIn } from './candidates.js';

const SIZE: XYZ = [64, 64, 64];
const COLUMNS = ['volume', 'coordX', 'coordY', 'coordZ', 'label'];

/** What the lines of a scan say of its split; null where they say nothing. @throws UserError when they differ */
function splitOf(rows: readonly Row[]): SampleSplit | null {
  const named = [...new Set(rows.map(({ cells }) => cells.split ?? ''))];
  if (named.length === 1 && named[0] === '') return null;
  const split = SAMPLE_SPLITS.find((name) => named.length === 1 && name === named[0]);
  if (split) return split;
  throw new UserError('input', {
    what: 'the candidates of a scan are not all in one split',
    where: rows[0]!.where,
    got: named.join(', '),
    expected: `one of ${SAMPLE_SPLITS.join(', ')}`,
  });
}

/** Pulmonary embolism false positives: is a candidate an embolus? */
export const eccAdapter: Adapter = {
  describe:
    'CTPA volumes and candidates.csv: volume, coordX, coordY, coordZ, label, and patient or split if known',
  takes: ['spacing', 'normalise'],
  async open(input, options) {
    const scans = await scansBelow(input, options);
    const table = tableIn(input, ['candidates.csv'], COLUMNS);
    const rows = byScan(table, 'volume');
    const format: SampleFormat = {
      ...{ task: 'ecc', kind: 'classification', classes: ['no embolus', 'embolus'] },
      ...{ size: options.size ?? SIZE, channels: 1, ...valuesOf(options.normalise) },
    };
    const { spacing, normalise } = options;
    const sources = [...scans]
      .filter(([id]) => rows.has(id))
      .map(([id, path]): SampleSource => {
        const own = rows.get(id)!;
        return {
          id,
          split: splitOf(own),
          origin: { files: [path], facts: { spacing, normalise, places: own.map(({ cells }) => cells) } },
          read: () => {
            const places = own.map((row, i) => ({
              ...placeOf(row),
              id: `${id}-${String(i).padStart(3, '0')}`,
              label: binaryIn(row, 'label'),
            }));
            const patient = own[0]!.cells.patient || id;
            return cropPlaces(path, patient, places, format.size, options);
          },
        };
      });
    return { format, sources, problems: absentScans(rows, scans, table.path) };
  },
};
