import { checkInteger, refuseIdle, UserError } from '../errors.js';
import type { Reporting } from '../progress.js';
import { isTablePath, readTable, TABLE_EXTENSIONS } from '../tables/read.js';
import { DIAMETER_COLUMN, evaluateDetections } from './evaluate-detections.js';
import { evaluateMasks } from './evaluate-masks.js';
import { evaluateNeighbours, isIndex } from './evaluate-neighbours.js';
import { evaluateScores } from './evaluate-scores.js';
import type { Evaluation } from './evaluation.js';

export interface EvaluateOptions extends Reporting {
  /** A mask, probability map, or folder of them; a table of scores or detections; or a search index. */
  readonly prediction: string;
  /** A mask or folder of masks; or a table of labels, lesions, or what is known of indexed scans. */
  readonly reference: string;
  /** Of masks: the class that is compared. Without it they must be 0 and 1. */
  readonly label?: number;
  /** Of masks: how far surfaces may be apart for the surface Dice, mm; default 1. */
  readonly toleranceMm?: number;
  /** Of detections: table of findings that are neither hits nor false positives. */
  readonly excluded?: string;
  /** Of detections: file with the name of every scan, one a line. */
  readonly scans?: string;
  /** Of an index: columns in which neighbours are compared. */
  readonly columns?: readonly string[];
  /** Of an index: column of what must differ, such as the patient; scans that have it in common are no neighbours. */
  readonly apart?: string;
  /** Of an index: neighbours of each row; 10 without it. */
  readonly k?: number;
  /** Resamples of the bootstrap intervals; default 1,000, 0 for none. */
  readonly resamples?: number;
  /** Of the resamples; default 1. */
  readonly seed?: number;
}

/**
 * Compares what a model predicted with the truth: masks by overlap and distance, scores by AUC and average
 * precision, detections by their sensitivity at fixed numbers of false positives, neighbours in a search index by what they share.
 * @throws UserError when the two do not belong together, or one is broken
 * @example
 * const { metrics } = await evaluate({ prediction: 'scores.csv', reference: 'labels.csv' });
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const {
    prediction,
    reference,
    label,
    toleranceMm = 1,
    excluded,
    scans,
    columns,
    apart,
    k,
    resamples = 1000,
    seed = 1,
  } = options;
  if (label !== undefined) checkInteger('--label', label, 1);
  if (!(Number.isFinite(toleranceMm) && toleranceMm >= 0))
    throw new UserError('usage', {
      what: 'a distance cannot be negative',
      where: '--tolerance',
      got: String(toleranceMm),
      expected: 'mm, 0 or more',
    });
  checkInteger('--resamples', resamples, 0);
  const resampling = { resamples, seed };
  const ofIndex = { '--columns': columns, '--apart': apart, '--k': k };
  if (isIndex(prediction)) {
    refuseIdle('an index', { '--label': label, '--excluded': excluded, '--scans': scans });
    return evaluateNeighbours(prediction, readTable(reference), {
      ...{ ...resampling, columns: columns ?? [], k: k ?? 10 },
      ...(apart === undefined ? {} : { apart }),
    });
  }
  refuseIdle('masks and tables', ofIndex);
  const tables = [prediction, reference].filter(isTablePath);
  if (tables.length === 1) {
    throw new UserError('usage', {
      what: 'one of the two files is a table, the other is not',
      got: `${prediction} and ${reference}`,
      expected: `two masks, two folders of masks, or two tables (${TABLE_EXTENSIONS.join(', ')})`,
    });
  }
  if (tables.length === 0) {
    refuseIdle('masks', { '--excluded': excluded, '--scans': scans });
    return evaluateMasks(prediction, reference, {
      ...resampling,
      toleranceMm,
      ...(options.reporter ? { reporter: options.reporter } : {}),
      ...(label === undefined ? {} : { label }),
    });
  }
  const truth = readTable(reference);
  if (truth.columns.includes(DIAMETER_COLUMN)) {
    refuseIdle('detections', { '--label': label });
    return evaluateDetections(readTable(prediction), truth, {
      ...resampling,
      ...(excluded === undefined ? {} : { excluded }),
      ...(scans === undefined ? {} : { scans }),
    });
  }
  refuseIdle('scores', { '--label': label, '--excluded': excluded, '--scans': scans });
  return evaluateScores(readTable(prediction), truth, resampling);
}
