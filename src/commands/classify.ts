import { rmSync } from 'node:fs';
import type { XYZ } from '../data/scan/volume.js';
import type { Failure } from '../data/store/arrays.js';
import { refuseIdle } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { classesOf } from '../inference/segmentation.js';
import { middleVector, type WindowVector, windowVectors } from '../inference/window-vectors.js';
import { parseCsv, toCsv } from '../tables/csv.js';
import { removeIfIdle } from './journal.js';
import { checkResultFile, firstLine, unfinishedPath, withResultFile } from './result-file.js';
import { forEachScan, openScanModel, type WholeScanOptions } from './whole-scans.js';

export interface ClassifyOptions extends WholeScanOptions {
  /** `.csv` or `.jsonl`. */
  readonly out: string;
  /**
   * A row a scan, for its middle, cropped or padded as samples are in training; or a row for each window of it, with its
   * place. `scan` without it.
   */
  readonly per?: 'scan' | 'window';
}

/** What a classifier says of a scan or a window. */
export interface Classified {
  readonly scan: string;
  /** Middle of the window in LPS mm. */
  readonly centre: XYZ;
  /** The most probable one. */
  readonly class: string;
  /** By class. */
  readonly probabilities: Readonly<Record<string, number>>;
}

export interface ClassifySummary {
  readonly out: string;
  readonly scans: number;
  readonly rows: number;
  readonly failures: readonly Failure[];
}

const OVERLAP = 0.5;

/** What is kept of a finished scan: where windows lie, and what they are. */
type Entry = readonly { readonly centre: XYZ; readonly values: readonly number[] }[];

/** What a classifier says of a window. @param values probabilities, in the order of the classes */
export const classified = (
  classes: readonly string[],
  { centre, values }: { readonly centre: XYZ; readonly values: ArrayLike<number> },
): Omit<Classified, 'scan'> => {
  const each = Array.from(values);
  return {
    centre,
    class: classes[each.indexOf(Math.max(...each))]!,
    probabilities: Object.fromEntries(classes.map((name, c) => [name, each[c]!])),
  };
};

const COLUMNS = ['scan', 'x_mm', 'y_mm', 'z_mm', 'class'];
const columnOf = (name: string) => `p_${name}`;

/** Whether a file begins as those that are written here. @param path ends in .csv or .jsonl */
export async function isClassesFile(path: string): Promise<boolean> {
  const line = await firstLine(path);
  if (line === null) return true;
  if (path.endsWith('.jsonl'))
    return /^\{"scan":".*","centre":\[.*\],"class":".*","probabilities":\{.*\}\}$/.test(line);
  const [{ cells } = { cells: [] }] = parseCsv(path, `${line}\n`);
  return (
    COLUMNS.every((name, i) => cells[i] === name) &&
    cells.slice(COLUMNS.length).every((name) => name.startsWith(columnOf('')))
  );
}

function toTable(rows: readonly Classified[], classes: readonly string[]): string {
  return toCsv(
    [...COLUMNS, ...classes.map(columnOf)],
    rows.map(({ scan, centre, class: most, probabilities }) => [
      scan,
      ...centre,
      most,
      ...classes.map((name) => probabilities[name]!),
    ]),
  );
}

/**
 * Classifies whole scans. A scan that cannot be used is reported and does not stop the others; where none can, a table that is there stays
 * as it is. Run again after a kill, it goes on behind the last finished scan.
 * @throws UserError when the model is no classifier of one channel, the windows do not suit it, or the result cannot be written
 * @example
 * await classify({ model: 'model/classifier.onnx', input: ['scans'], out: 'classes.csv' });
 */
export async function classify(options: ClassifyOptions): Promise<ClassifySummary> {
  const { out, per = 'scan' } = options;
  if (per === 'scan')
    refuseIdle('--per scan, which classifies the middle of a scan', {
      '--overlap': options.overlap,
      '--batch': options.batch,
    });
  await checkResultFile(out, options, { endings: ['csv', 'jsonl'], isResult: isClassesFile });
  const model = await openScanModel(options, 'classifier');
  try {
    const windows = checkedWindows(model, options, OVERLAP);
    const classes = classesOf(model);
    return await withResultFile(out, 'classify', options.shard, async () => {
      const journal = unfinishedPath(out);
      const { window, overlap } = windows;
      const { scans, failures } = await forEachScan<readonly WindowVector[], Entry>(model, options, {
        label: 'classify',
        journal,
        settings: { per, window, ...(per === 'window' && { overlap }) },
        isThere: () => true,
        compute: async (scan, onWindows) =>
          per === 'scan'
            ? [await middleVector(model, scan, windows, 'probabilities')]
            : windowVectors(model, scan, windows, 'probabilities', onWindows),
        write: async (_, vectors) => vectors.map(({ centre, values }) => ({ centre, values: [...values] })),
      });
      const rows = scans.flatMap(({ name, entry }) =>
        entry.map((vector): Classified => ({ scan: name, ...classified(classes, vector) })),
      );
      const text = out.endsWith('.csv')
        ? toTable(rows, classes)
        : rows.map((row) => `${JSON.stringify(row)}\n`).join('');
      if (!options.shard && scans.length > 0) {
        writeFileAtomic(out, text);
        rmSync(journal, { force: true });
      } else if (!options.shard) removeIfIdle(journal);
      return { out, scans: scans.length, rows: rows.length, failures };
    });
  } finally {
    await model.release();
  }
}
