/** Whether samples suit a training, before it begins. */
import { UserError } from '../../errors.js';
import type { SampleEntry, SampleManifest, SampleSplit } from './manifest.js';
import type { SampleStore } from './store.js';

/** Whether a sample's mask has no voxel of any class. */
export const hasEmptyMask = ({ classVoxels }: Pick<SampleEntry, 'classVoxels'>): boolean =>
  classVoxels?.every((count) => count === 0) ?? false;

/** Voxels of each class in the masks of some samples. */
export const voxelsOfClasses = (
  samples: readonly Pick<SampleEntry, 'classVoxels'>[],
  { classes }: Pick<SampleManifest, 'classes'>,
): number[] => classes.map((_, c) => samples.reduce((sum, { classVoxels }) => sum + classVoxels![c]!, 0));

/**
 * @throws UserError when a split is empty, has only one class where two are compared, or nothing but empty masks where
 * there is something to find
 */
export function checkSplit(samples: readonly SampleEntry[], split: SampleSplit, store: SampleStore): void {
  if (samples.length === 0)
    throw new UserError('data', {
      what: `the store has no ${split} samples`,
      where: store.folder,
      fix: 'prepare it with a different split',
    });
  if (store.manifest.kind === 'classification') checkLabels(samples, split, store);
  else checkMasks(samples, split, store);
}

function checkLabels(samples: readonly SampleEntry[], split: SampleSplit, store: SampleStore): void {
  const { classes } = store.manifest;
  const labels = [...new Set(samples.map(({ label }) => label!))];
  if (labels.length > 1) return;
  throw new UserError('data', {
    what: `all ${split} samples belong to one class: there is nothing to distinguish, and no AUC`,
    where: store.folder,
    got: `${samples.length} of class ${classes[labels[0]!]}`,
    expected: `some of ${classes.join(' and ')}`,
    fix: `${split === 'validation' ? 'raise validation.samples, or ' : ''}prepare it with a different split, or with more data`,
  });
}

function checkMasks(samples: readonly SampleEntry[], split: SampleSplit, store: SampleStore): void {
  if (!samples.every(hasEmptyMask)) return;
  throw new UserError('data', {
    what: `all masks of the ${split} samples are empty: there is nothing to ${split === 'train' ? 'learn' : 'measure'}`,
    where: store.folder,
    got: `${samples.length} masks with no voxel of ${store.manifest.classes.join(' or ')}`,
    expected: 'at least some masks with a few voxels',
    fix: 'check the masks, and that the marked voxels lie within --size around the centre of the image; or prepare with a different split',
  });
}

/** What is worth knowing of the classes of a split that {@link checkSplit} let pass. */
export function classNotes(
  samples: readonly SampleEntry[],
  split: SampleSplit,
  manifest: SampleManifest,
): string[] {
  const { kind, classes } = manifest;
  const isClassifier = kind === 'classification';
  const counts = isClassifier
    ? classes.map((_, c) => samples.filter(({ label }) => label === c).length)
    : voxelsOfClasses(samples, manifest);
  const absent = classes.filter((_, c) => counts[c] === 0).join(' or ');
  const without = isClassifier
    ? `none of the ${split} samples is of class ${absent}`
    : `no mask of the ${split} samples has a voxel of ${absent}`;
  const empty = samples.filter(hasEmptyMask).length;
  return [
    ...(empty > 0 ? [`${empty} of ${samples.length} masks of the ${split} samples are empty`] : []),
    ...(absent === ''
      ? []
      : [`${without}: ${split === 'train' ? 'it cannot be learnt' : 'it cannot be measured'}`]),
  ];
}
