import { UserError } from '../errors.js';
import { notAMask } from './not-a-mask.js';

/**
 * How much a segmentation and its reference have in common, each 0 … 1. All are NaN, not defined, when neither has any
 * foreground: there is nothing to find, and nothing was found.
 */
export interface OverlapMeasures {
  /** Mean IoU of background and foreground, averaged over thresholds 0.50, 0.55 … 0.95 ("IoU" in Models Genesis). */
  readonly miou_genesis: number;
  /** IoU of the foreground, binarised at 0.5. */
  readonly 'iou_fg@0.5': number;
  /** Mean IoU of background and foreground, binarised at 0.5. */
  readonly 'iou2@0.5': number;
  /** Dice of the foreground, binarised at 0.5: 2I / (1 + I). */
  readonly 'dice@0.5': number;
  /** (2 Σpr + 1) / (Σp + Σr + 1), of the probabilities themselves. */
  readonly soft_dice: number;
}

const UNDEFINED: OverlapMeasures = {
  miou_genesis: Number.NaN,
  'iou_fg@0.5': Number.NaN,
  'iou2@0.5': Number.NaN,
  'dice@0.5': Number.NaN,
  soft_dice: Number.NaN,
};

/** In float32, as the probabilities are: 0.55 is then not above 0.55. */
const THRESHOLDS = Float32Array.from({ length: 10 }, (_, i) => (50 + 5 * i) / 100);

/**
 * Overlap of one foreground class. A voxel is foreground when its probability is above the threshold.
 * @param probabilities 0 … 1, or a mask of 0 and 1
 * @param reference 0 and 1, of the same length
 * @throws UserError when the lengths differ, or the reference has other values
 * @example
 * overlapMeasures([0.9, 0.8, 0.1], [1, 0, 0])['dice@0.5']; // 2/3
 */
export function overlapMeasures(
  probabilities: ArrayLike<number>,
  reference: ArrayLike<number>,
): OverlapMeasures {
  if (probabilities.length !== reference.length)
    throw new UserError('usage', {
      what: 'an overlap is of two images of the same size',
      got: `${probabilities.length} and ${reference.length} voxels`,
    });
  // How many voxels of the background and of the foreground are above the first n thresholds and no more.
  const above = [new Float64Array(THRESHOLDS.length + 1), new Float64Array(THRESHOLDS.length + 1)] as const;
  let [sum, common] = [0, 0];
  for (let i = 0; i < reference.length; i++) {
    const [p, r] = [probabilities[i]!, reference[i]!];
    if (r !== 0 && r !== 1) throw notAMask('reference', r);
    let n = 0;
    while (n < THRESHOLDS.length && p > THRESHOLDS[n]!) n++;
    above[r][n]!++;
    sum += p;
    common += p * r;
  }
  const tables = Array.from(THRESHOLDS, (_, n) => tableAt(above, n));
  const half = tables[0]!;
  const foreground = half.both + half.onlyReference;
  if (foreground + half.onlyPrediction === 0) return UNDEFINED;
  return {
    miou_genesis: tables.reduce((total, table) => total + meanIou(table), 0) / tables.length,
    'iou_fg@0.5': iou(half),
    'iou2@0.5': meanIou(half),
    'dice@0.5': (2 * half.both) / (2 * half.both + half.onlyPrediction + half.onlyReference),
    soft_dice: (2 * common + 1) / (sum + foreground + 1),
  };
}

interface Table {
  readonly both: number;
  readonly onlyPrediction: number;
  readonly onlyReference: number;
  readonly neither: number;
}

function tableAt([background, foreground]: readonly [Float64Array, Float64Array], threshold: number): Table {
  const total = (counts: Float64Array) => counts.reduce((a, b) => a + b, 0);
  return {
    both: total(foreground.subarray(threshold + 1)),
    onlyPrediction: total(background.subarray(threshold + 1)),
    onlyReference: total(foreground.subarray(0, threshold + 1)),
    neither: total(background.subarray(0, threshold + 1)),
  };
}

const iou = ({ both, onlyPrediction, onlyReference }: Table) =>
  both / (both + onlyPrediction + onlyReference);

/** Mean IoU of the two classes; one that is in neither mask does not count, as in TensorFlow's `mean_iou`. */
function meanIou(table: Table): number {
  const ious = [iou(table), iou({ ...table, both: table.neither })].filter((value) => !Number.isNaN(value));
  return ious.reduce((a, b) => a + b, 0) / ious.length;
}
