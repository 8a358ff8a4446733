import { overlapMeasures } from '../analysis/overlap.js';
import { standardDeviation } from '../analysis/statistics.js';
import { surfaceMeasures } from '../analysis/surface.js';
import { gridsAgree, orientLPS } from '../data/scan/geometry.js';
import { findScans, readVolume } from '../data/scan/index.js';
import type { Grid, Volume, Voxels } from '../data/scan/volume.js';
import { identifyScans, pairScans } from '../data/store/sources.js';
import { abridged, UserError } from '../errors.js';
import { isPresentFolder } from '../files.js';
import { type Reporting, silent } from '../progress.js';
import { type Evaluation, type Metrics, type Resampling, toMetrics, withIntervals } from './evaluation.js';

export interface MaskOptions extends Resampling, Reporting {
  /** The class that is compared; without it, masks are 0 and 1. */
  readonly label?: number;
  /** How far surfaces may be apart for the surface Dice. */
  readonly toleranceMm: number;
}

interface Pair {
  readonly id: string;
  readonly prediction: string;
  readonly reference: string;
}

/**
 * Overlap and distance of masks, or of probability maps and masks.
 * @param prediction a mask or probability map, or a folder of them that are named as those of the reference
 * @param reference a mask, or a folder
 * @throws UserError when a mask has no partner, the grids of two differ, or values are no classes or probabilities
 */
export async function evaluateMasks(
  prediction: string,
  reference: string,
  { label, toleranceMm, reporter = silent, ...resampling }: MaskOptions,
): Promise<Evaluation> {
  const cases: { id: string; metrics: Metrics }[] = [];
  const notes: string[] = [];
  const pairs = await pairsOf(prediction, reference);
  const progress = reporter.start({ label: 'evaluate', total: pairs.length, unit: 'pairs' });
  try {
    for (const pair of pairs) {
      const found = await comparePair(pair, label, toleranceMm);
      cases.push({ id: pair.id, metrics: found.metrics });
      notes.push(...found.notes);
      progress.update(cases.length);
    }
  } finally {
    progress.stop();
  }
  const names = Object.keys(cases[0]!.metrics);
  const defined = (name: string) => cases.flatMap(({ metrics }) => metrics[name] ?? []);
  const over = (of: (name: string) => number) =>
    Object.fromEntries(names.map((name): [string, number] => [name, of(name)]));
  const several = cases.length > 1;
  return {
    kind: 'masks',
    facts: { pairs: cases.length, ...(label === undefined ? {} : { label }), toleranceMm },
    ...withIntervals(cases.length, (draws) => over((name) => meanOf(cases, name, draws)), {
      ...resampling,
      resamples: several ? resampling.resamples : 0,
    }),
    standardDeviations: several ? toMetrics(over((name) => standardDeviation(defined(name)))) : {},
    notes,
    cases,
  };
}

/** Mean of a metric over the cases for which it is defined, each as often as it was drawn. */
function meanOf(cases: Evaluation['cases'], name: string, draws?: Uint32Array): number {
  let [sum, count] = [0, 0];
  for (const [i, { metrics }] of cases.entries()) {
    const value = metrics[name] ?? null;
    if (value === null) continue;
    const times = draws ? draws[i]! : 1;
    sum += times * value;
    count += times;
  }
  return sum / count;
}

async function pairsOf(prediction: string, reference: string): Promise<Pair[]> {
  if (!isPresentFolder(prediction) && !isPresentFolder(reference))
    return [{ id: reference, prediction, reference }];
  const [predictions, references] = [await masksIn(prediction), await masksIn(reference)];
  const pairs = pairScans(references, predictions);
  const used = new Set(pairs.values());
  refuseMissing(prediction, references, (path) => pairs.has(path));
  refuseMissing(reference, predictions, (path) => used.has(path));
  return [...identifyScans(references.paths)].map(([id, path]) => ({
    id,
    prediction: pairs.get(path)!,
    reference: path,
  }));
}

const masksIn = async (folder: string) => ({
  folder,
  paths: await findScans([folder], { segmentations: true }),
});

function refuseMissing(
  path: string,
  { paths }: { readonly paths: readonly string[] },
  hasPartner: (path: string) => boolean,
): void {
  const missing = [...identifyScans(paths)].flatMap(([name, own]) => (hasPartner(own) ? [] : [name]));
  if (missing.length === 0) return;
  throw new UserError('input', {
    what: 'some masks have no matching file here',
    where: path,
    got: `none for ${abridged(missing)}`,
    expected: 'the same file names, ignoring extensions, in both folders',
  });
}

async function comparePair(
  { id, prediction: predictionPath, reference: referencePath }: Pair,
  label: number | undefined,
  toleranceMm: number,
): Promise<{ metrics: Metrics; notes: string[] }> {
  const reference = await readFinite(referencePath);
  const mask = maskOf(referencePath, reference, label);
  const prediction = await readFinite(predictionPath);
  if (!gridsAgree(prediction, reference)) {
    throw new UserError('input', {
      what: 'the prediction is on a different grid from the reference',
      where: predictionPath,
      got: describeGrid(prediction),
      expected: `${describeGrid(reference)}, as in ${referencePath}`,
      fix: 'resample the prediction onto the grid of the reference',
    });
  }
  const values = surveyValues(prediction.voxels);
  const probabilities = probabilitiesOf(predictionPath, prediction, values, label);
  const predicted = maskWhere(probabilities, (p) => p > 0.5);
  const metrics = {
    ...overlapMeasures(probabilities, mask),
    ...surfaceMeasures(predicted, mask, reference.size, reference.spacing, toleranceMm),
  };
  const empty = [
    ...(mask.includes(1) ? [] : ['the reference']),
    ...(predicted.includes(1) ? [] : ['the prediction']),
  ];
  const undefinedNames = Object.entries(metrics).flatMap(([name, value]) =>
    Number.isNaN(value) ? [name] : [],
  );
  const notes = [
    ...(undefinedNames.length > 0
      ? [
          `${id}: ${undefinedNames.join(', ')} undefined because ${empty.join(' and ')} ${empty.length > 1 ? 'have' : 'has'} no foreground`,
        ]
      : []),
    ...(label !== undefined && label > 1 && values.exact && values.high === 1 && mask.includes(1)
      ? [
          `${id}: the prediction was taken for labels, none of which is ${label}; if it is a mask of that class alone, its foreground must be ${label}`,
        ]
      : []),
  ];
  return { metrics: toMetrics(metrics), notes };
}

/** A mask with its axes along the patient's, so that the order in which files store voxels does not matter. */
async function readFinite(path: string): Promise<Volume> {
  const volume = await readVolume(path);
  if (volume.nonFinite)
    throw new UserError('input', {
      what: 'some voxels are not finite numbers',
      where: path,
      got: `${volume.nonFinite} of them`,
    });
  return orientLPS(volume);
}

/** What the voxels of a file can be. */
interface Values {
  /** Whole numbers, but for rounding: some programs store labels as floats. */
  readonly whole: boolean;
  /** Whole numbers, to the last digit. */
  readonly exact: boolean;
  readonly low: number;
  readonly high: number;
}

function surveyValues(voxels: Voxels): Values {
  let [whole, exact, low, high] = [true, true, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < voxels.length; i++) {
    const value = voxels[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
    const rest = Math.abs(value - Math.round(value));
    if (rest > 0) exact = false;
    if (rest > 1e-3) whole = false;
  }
  return { whole, exact, low, high };
}

/** 1 where `holds`. A plain loop: `Uint8Array.from` takes several times as long. */
function maskWhere(voxels: Voxels | Uint8Array, holds: (value: number) => boolean): Uint8Array {
  const mask = new Uint8Array(voxels.length);
  for (let i = 0; i < voxels.length; i++) mask[i] = holds(voxels[i]!) ? 1 : 0;
  return mask;
}

const isLabel = (voxels: Voxels, label: number) => maskWhere(voxels, (value) => Math.round(value) === label);

/** The foreground of a reference. @throws UserError when its values are no classes */
function maskOf(path: string, { voxels }: Volume, label: number | undefined): Uint8Array {
  const values = surveyValues(voxels);
  const highest = label === undefined ? 1 : Number.POSITIVE_INFINITY;
  if (values.whole && Math.round(values.low) >= 0 && Math.round(values.high) <= highest)
    return isLabel(voxels, label ?? 1);
  throw wrongValues(path, 'the reference contains values that are not classes', values, label, '');
}

/** How far sums of float32 probabilities, such as a softmax or a resampled map, may lie beyond 0 and 1. */
const ROUNDING = 1.5e-6;

/** The probability of the foreground in every voxel of a prediction. @throws UserError when its values are none */
function probabilitiesOf(
  path: string,
  { voxels }: Volume,
  values: Values,
  label: number | undefined,
): Voxels | Uint8Array {
  // Of a confident network, probabilities are whole numbers too, but for rounding.
  const areLabels = values.exact || (values.whole && values.high > 1 + ROUNDING);
  if (label !== undefined && areLabels && Math.round(values.low) >= 0) return isLabel(voxels, label);
  if (values.low >= 0 && values.high <= 1) return voxels;
  if (values.low >= -ROUNDING && values.high <= 1 + ROUNDING)
    return voxels.map((value) => Math.min(Math.max(value, 0), 1));
  throw wrongValues(
    path,
    'the prediction contains neither classes nor probabilities',
    values,
    label,
    ', or probabilities',
  );
}

function wrongValues(
  path: string,
  what: string,
  { low, high, whole }: Values,
  label: number | undefined,
  or: string,
) {
  const needsLabel = label === undefined && whole && low >= 0;
  return new UserError('input', {
    what,
    where: path,
    got: `${whole ? 'integers' : 'values'} from ${low} to ${high}`,
    expected: `${label === undefined ? '0 and 1' : 'labels: integers from 0'}${or}`,
    ...(needsLabel && { fix: 'choose the class to compare with --label' }),
  });
}

function describeGrid({ size, spacing, origin, direction }: Grid): string {
  const list = (values: readonly number[]) => values.map((value) => +value.toFixed(4)).join(' ');
  return `${size.join('×')} voxels of ${list(spacing)} mm, origin ${list(origin)}, direction ${list(direction)}`;
}
