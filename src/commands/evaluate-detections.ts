import { type DetectionMarks, FROC_RATES, matchDetections, sensitivityAt } from '../analysis/froc.js';
import { mean } from '../analysis/statistics.js';
import type { XYZ } from '../data/scan/volume.js';
import { abridged, UserError } from '../errors.js';
import { readLines, readTable } from '../tables/read.js';
import { numberIn, type Row, requireColumns, type Table } from '../tables/table.js';
import { scoreColumn } from './evaluate-scores.js';
import { type Evaluation, type Resampling, withIntervals } from './evaluation.js';

export interface DetectionOptions extends Resampling {
  /** Table of findings that are neither hits nor false positives: LUNA16's annotations_excluded.csv. */
  readonly excluded?: string;
  /** File with the name of every scan of the test set, one a line: LUNA16's seriesuids.csv. */
  readonly scans?: string;
}

/** The column by which a table of lesions is known. */
export const DIAMETER_COLUMN = 'diameter_mm';

const placeOf = (row: Row) => ({
  scan: row.cells.seriesuid!,
  position: [numberIn(row, 'coordX'), numberIn(row, 'coordY'), numberIn(row, 'coordZ')] as XYZ,
});

function rowsWith(table: Table, column: string): readonly Row[] {
  requireColumns(table, ['seriesuid', 'coordX', 'coordY', 'coordZ', column]);
  return table.rows;
}

const lesionsOf = (table: Table) =>
  rowsWith(table, DIAMETER_COLUMN).map((row) => ({
    ...placeOf(row),
    diameterMm: numberIn(row, DIAMETER_COLUMN),
  }));

/** `sensitivity@0.125` … `sensitivity@8`, and their mean, the competition performance metric. */
function metricsOf(marks: DetectionMarks, draws?: Uint32Array): Record<string, number> {
  const values = sensitivityAt(marks, FROC_RATES, draws);
  const named = values.map((value, i) => [`sensitivity@${FROC_RATES[i]}`, value]);
  return { ...Object.fromEntries(named), cpm: mean(values) };
}

const scansOf = (items: readonly { readonly scan: string }[]) => new Set(items.map(({ scan }) => scan));

/**
 * Sensitivity at fixed numbers of false positives a scan, by the rules of LUNA16.
 * @throws UserError when a table is broken, or has detections in scans that the file of scans does not name
 */
export function evaluateDetections(
  prediction: Table,
  reference: Table,
  { excluded, scans: scansFile, ...resampling }: DetectionOptions,
): Evaluation {
  const score = scoreColumn(prediction);
  const detections = rowsWith(prediction, score).map((row) => ({
    ...placeOf(row),
    score: numberIn(row, score),
  }));
  const lesions = lesionsOf(reference);
  const irrelevant = excluded === undefined ? [] : lesionsOf(readTable(excluded));
  const [detectedIn, lesionsIn] = [scansOf(detections), scansOf(lesions)];
  const scans =
    scansFile === undefined
      ? scansOf([...lesions, ...irrelevant, ...detections])
      : new Set(readLines(scansFile).filter((line) => line !== 'seriesuid'));
  refuseUnknown(prediction.path, detectedIn, scans, scansFile);
  const marks = matchDetections([...scans], detections, lesions, irrelevant);
  const total = marks.lesions.reduce((sum, count) => sum + count, 0);
  const detected = marks.marks.filter(({ hit }) => hit).length;
  return {
    kind: 'detections',
    facts: {
      scans: scans.size,
      lesions: total,
      detected,
      detections: detections.length,
      falsePositives: marks.marks.length - detected,
      repeated: marks.repeated,
      ignored: marks.ignored,
      dropped: marks.dropped,
    },
    ...withIntervals(scans.size, (draws) => metricsOf(marks, draws), resampling),
    standardDeviations: {},
    notes: [
      ...(total === 0 ? ['sensitivities and cpm are undefined: there are no lesions in these scans'] : []),
      ...(scansFile === undefined
        ? ['scans that are in neither table are not counted: list all scans with --scans']
        : []),
      ...counted(
        [...scans].filter((scan) => !detectedIn.has(scan)),
        'without detections',
      ),
      ...counted(
        [...lesionsIn].filter((scan) => !scans.has(scan)),
        'with lesions but not in --scans, left out',
      ),
    ],
    cases: [],
  };
}

const counted = (scans: readonly string[], what: string) =>
  scans.length === 0
    ? []
    : [`${scans.length} ${scans.length === 1 ? 'scan' : 'scans'} ${what}: ${abridged(scans)}`];

function refuseUnknown(
  path: string,
  detectedIn: Iterable<string>,
  scans: ReadonlySet<string>,
  list?: string,
) {
  const unknown = [...detectedIn].filter((scan) => !scans.has(scan));
  if (unknown.length === 0) return;
  throw new UserError('input', {
    what: `there are detections in scans that are not in ${list}`,
    where: path,
    got: abridged(unknown),
    fix: 'add the scans to the list, or remove their detections',
  });
}
