/** How good predictions of a target task are. */
import { overlapMeasures } from '../analysis/overlap.js';
import { areaUnderRoc, averagePrecision, rankScores } from '../analysis/ranking.js';
import { mean } from '../analysis/statistics.js';
import { surfaceMeasures } from '../analysis/surface.js';
import { readSample, type SampleStore } from '../data/samples/store.js';
import { classAt } from '../inference/segmentation.js';
import { toCsv } from '../tables/csv.js';
import type { Prediction } from '../train/target.js';
import { toMetrics } from './evaluation.js';

/** Measures by name; null where one is not defined for the samples. */
export type Scores = Readonly<Record<string, number | null>>;

/** What a table says of one sample: its id first. */
export type SampleRow = Readonly<Record<string, string | number | null>>;

export interface Scored {
  readonly scores: Scores;
  readonly rows: readonly SampleRow[];
}

/** Distances of surfaces within this count as none, mm. */
const TOLERANCE_MM = 1;

/** Only the measures that are defined. */
export const definedScores = (scores: Scores): Record<string, number> =>
  Object.fromEntries(Object.entries(scores).filter((entry): entry is [string, number] => entry[1] !== null));

/** A score for people. */
export const formatScore = (value: number | null): string => value?.toFixed(4) ?? '–';

/** AUC and average precision of one class against all others. */
function ranking(predictions: readonly Classified[], positive: number): Record<string, number> {
  const of = (isPositive: boolean) =>
    predictions.flatMap(({ label, probabilities }) =>
      (label === positive) === isPositive ? probabilities[positive]! : [],
    );
  const ranked = rankScores(of(true), of(false));
  return { auc: areaUnderRoc(ranked), average_precision: averagePrecision(ranked) };
}

interface Classified {
  readonly label: number;
  readonly probabilities: Float32Array;
}

const mostLikely = ({ probabilities }: Classified) => probabilities.indexOf(Math.max(...probabilities));

/** Of two classes the second is the positive one; of more, each against all others, and the mean. */
export function scoreClasses(predictions: readonly Classified[], classes: readonly string[]): Scores {
  const right = predictions.filter((prediction) => mostLikely(prediction) === prediction.label).length;
  const accuracy = right / predictions.length;
  if (classes.length === 2) return toMetrics({ ...ranking(predictions, 1), accuracy });
  const each = classes.map((_, c) => ranking(predictions, c));
  const meanOf = (name: string) => mean(each.map((scores) => scores[name]!).filter((v) => !Number.isNaN(v)));
  return toMetrics({ auc: meanOf('auc'), average_precision: meanOf('average_precision'), accuracy });
}

/** Means over samples of what is defined. */
function means(rows: readonly Scores[]): Scores {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return toMetrics(
    Object.fromEntries(names.map((name) => [name, mean(rows.flatMap((row) => row[name] ?? []))])),
  );
}

/**
 * Measures of one sample, each the mean of its classes: those at 0.5 of the mask that `p2w segment` makes, in which a voxel is of one class.
 * @param all also those that take their time
 */
function scoreMask(store: SampleStore, { sample, probabilities }: Prediction, all: boolean): Scores {
  const { classes, size } = store.manifest;
  const { mask } = readSample(store, sample);
  const voxels = mask!.length;
  const labels = mask!.map((_, i) => classAt(probabilities, classes.length, voxels, i));
  return means(
    classes.map((_, c) => {
      const isOfClass = (label: number) => (label === c + 1 ? 1 : 0);
      const [found, reference] = [labels.map(isOfClass), mask!.map(isOfClass)];
      const { 'dice@0.5': dice, 'iou_fg@0.5': iou, 'iou2@0.5': bothIou } = overlapMeasures(found, reference);
      const ofMask = { 'dice@0.5': dice, 'iou_fg@0.5': iou };
      if (!all) return toMetrics(ofMask);
      const overlap = overlapMeasures(probabilities.subarray(c * voxels, (c + 1) * voxels), reference);
      const surface = surfaceMeasures(found, reference, size, sample.spacing, TOLERANCE_MM);
      return toMetrics({ ...overlap, ...ofMask, 'iou2@0.5': bothIou, ...surface });
    }),
  );
}

/** All measures of some predictions, as they come, with a row a sample. @param detail what takes long too */
export async function scorePredictions(
  store: SampleStore,
  predictions: AsyncIterable<Prediction>,
  detail: boolean,
): Promise<Scored & { loss: number }> {
  const { kind, classes } = store.manifest;
  const classified: Classified[] = [];
  const masks: Scores[] = [];
  const rows: SampleRow[] = [];
  let [loss, weight] = [0, 0];
  for await (const prediction of predictions) {
    const { sample, probabilities } = prediction;
    loss += prediction.loss * prediction.weight;
    weight += prediction.weight;
    const { id, patient } = sample;
    if (kind === 'classification') {
      classified.push({ label: sample.label!, probabilities });
      const columns = Object.fromEntries(classes.map((name, c) => [`p_${name}`, probabilities[c]!]));
      rows.push({ id, patient, label: classes[sample.label!]!, ...columns });
    } else {
      const scores = scoreMask(store, prediction, detail);
      masks.push(scores);
      rows.push({ id, patient, ...scores });
    }
  }
  const scores = kind === 'classification' ? scoreClasses(classified, classes) : means(masks);
  return { scores, rows, loss: loss / weight };
}

/** Rows as CSV; a measure that is not defined for a sample is empty. */
export function rowsToCsv(rows: readonly SampleRow[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return toCsv(
    columns,
    rows.map((row) => columns.map((column) => row[column] ?? '')),
  );
}
