/** Which samples a fine-tuning sees, in which order. */
import { grouped } from '../../../graphs/onnx/grouped.js';
import { UserError } from '../../errors.js';
import { permutation, randomStream } from '../../random.js';
import { spreadEvenly } from '../../spread.js';
import { type Augmentation, augmented } from './augment.js';
import type { SampleEntry, SampleManifest } from './manifest.js';
import { readSample, type SampleStore, type SampleVoxels, voxelsOf } from './store.js';

/** Samples as the graphs take them. */
export interface SampleBatch {
  /** Places in the list of samples, one a sample; those that fill a batch up are repeated. */
  readonly indices: readonly number[];
  /** [N, C, D, H, W] */
  readonly image: SampleVoxels;
  /** 1, and 0 for samples that only fill the batch up. */
  readonly weight: Float32Array;
  /** Class numbers [N]; null in segmentation. */
  readonly label: Int32Array | null;
  /** [N, classes, D, H, W], zeros and ones; null in classification. */
  readonly mask: Uint8Array | null;
}

/** Which training samples are used: a share of them, or those of a number of patients. */
export interface SampleChoice {
  readonly fraction: number;
  readonly patients: number | null;
  readonly seed: number;
}

export const patientsOf = (samples: readonly SampleEntry[]): string[] => [
  ...new Set(samples.map(({ patient }) => patient)),
];

/** Numbers of the classes that a sample has. */
const classesOf = ({ label, classVoxels }: SampleEntry): number[] =>
  label === null ? [...classVoxels!.keys()].filter((c) => classVoxels![c]! > 0) : [label];

/**
 * The training samples that a run uses: all, or those of some patients, drawn at random, that make up a share of the
 * samples or are as many as asked for. Every class that there is stays, for which more patients may be needed: the next ones that have it. The
 * patients of a smaller choice with the same seed are among those of a larger one.
 * @throws UserError when there are fewer patients
 */
export function trainingSamples(
  { samples }: Pick<SampleManifest, 'samples'>,
  { fraction, patients: wanted, seed }: SampleChoice,
): SampleEntry[] {
  const all = samples.filter(({ split }) => split === 'train');
  if (wanted === null && fraction === 1) return all;
  const patients = patientsOf(all);
  if (wanted !== null && wanted > patients.length)
    throw new UserError('config', {
      what: 'there are fewer training patients',
      where: 'patients',
      got: String(wanted),
      expected: `at most ${patients.length}`,
    });
  const own = grouped(all, ({ patient }) => patient);
  const missing = new Set(all.flatMap(classesOf));
  const taken = new Set<string>();
  // A share of a whole number may come out as slightly more.
  const least = fraction * all.length - 1e-9;
  let count = 0;
  for (const i of permutation(randomStream(seed, 'fraction'), patients.length)) {
    const isEnough = wanted === null ? count >= least : taken.size >= wanted;
    const of = own.get(patients[i]!)!;
    const brings = of.flatMap(classesOf);
    if (isEnough && !brings.some((c) => missing.has(c))) continue;
    taken.add(patients[i]!);
    count += of.length;
    for (const c of brings) missing.delete(c);
  }
  return all.filter(({ patient }) => taken.has(patient));
}

/**
 * The validation samples that a run looks at: at most as many as it is told to, spread evenly over the split, or over each class of it.
 * Stores are in the order of tables and folders, where the first samples may be of one class, one scanner or one patient.
 */
export function validationSamples(
  { samples }: SampleManifest,
  { samples: limit }: { readonly samples: number },
): SampleEntry[] {
  const all = samples.filter(({ split }) => split === 'validation');
  const byClass = all.toSorted((a, b) => (a.label ?? 0) - (b.label ?? 0));
  const taken = new Set(spreadEvenly(all.length, limit).map((place) => byClass[place]!));
  return all.filter((sample) => taken.has(sample));
}

/** Samples of each class that there is. */
function labelCounts(samples: readonly SampleEntry[]): Map<number | null, number> {
  const counts = new Map<number | null, number>();
  for (const { label } of samples) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

/** The order of one epoch: all samples, or as many of each class as the smallest has, drawn anew from all of them. */
function drawOrder({ samples, balance, seed }: SamplePlan, epoch: number): readonly number[] {
  const shuffled = [...permutation(randomStream(seed, 'sample order', epoch), samples.length)];
  if (balance !== 'sampling') return shuffled;
  const counts = labelCounts(samples);
  const least = Math.min(...counts.values());
  // The first of each class in a random order: others in every epoch.
  const taken = new Map([...counts.keys()].map((label) => [label, 0]));
  return shuffled.filter((i) => {
    const count = taken.get(samples[i]!.label)! + 1;
    taken.set(samples[i]!.label, count);
    return count <= least;
  });
}

/**
 * What is done about classes of different size: nothing, weights in the loss, or epochs with as many samples of each class
 * as the smallest has, drawn anew every time.
 */
export type Balance = 'none' | 'weights' | 'sampling';

/** What decides the training batches. */
export interface SamplePlan {
  readonly samples: readonly SampleEntry[];
  /** Samples in a batch. */
  readonly batch: number;
  readonly balance: Balance;
  readonly augmentation: Augmentation;
  readonly seed: number;
}

/** Samples that an epoch goes through. */
export function epochLength({ samples, balance }: Pick<SamplePlan, 'samples' | 'balance'>): number {
  if (balance !== 'sampling') return samples.length;
  const counts = labelCounts(samples);
  return counts.size * Math.min(...counts.values());
}

/** The last order that was drawn for a plan: batches follow each other, and drawing from many samples takes its time. */
const drawn = new WeakMap<SamplePlan, { readonly epoch: number; readonly order: readonly number[] }>();

function epochOrder(plan: SamplePlan, epoch: number): readonly number[] {
  const last = drawn.get(plan);
  if (last?.epoch === epoch) return last.order;
  const order = drawOrder(plan, epoch);
  drawn.set(plan, { epoch, order });
  return order;
}

/** Puts samples together. @param variant how a sample is changed before */
function assemble(
  store: SampleStore,
  samples: readonly SampleEntry[],
  indices: readonly number[],
  used: number,
  change: (content: ReturnType<typeof readSample>, place: number) => ReturnType<typeof readSample>,
): SampleBatch {
  const { manifest } = store;
  const size = indices.length;
  const voxels = voxelsOf(manifest);
  const classes = manifest.classes.length;
  const image = manifest.type === 'int16' ? new Int16Array(size * voxels) : new Float32Array(size * voxels);
  const segmentation = manifest.kind === 'segmentation';
  const points = voxels / manifest.channels;
  const mask = segmentation ? new Uint8Array(size * classes * points) : null;
  for (const [place, index] of indices.entries()) {
    const content = change(readSample(store, samples[index]!), place);
    image.set(content.image, place * voxels);
    if (!mask) continue;
    for (let at = 0; at < points; at++) {
      const label = content.mask![at]!;
      if (label > 0) mask[(place * classes + label - 1) * points + at] = 1;
    }
  }
  return {
    indices,
    image,
    mask,
    weight: Float32Array.from(indices, (_, place) => (place < used ? 1 : 0)),
    label: segmentation ? null : Int32Array.from(indices, (index) => samples[index]!.label!),
  };
}

/**
 * Training batch `index`: epochs follow each other, each in an order of its own, and run on into the next in the middle
 * of a batch.
 */
export function trainingBatch(store: SampleStore, plan: SamplePlan, index: number): SampleBatch {
  const { samples, batch, augmentation, seed } = plan;
  const length = epochLength(plan);
  const places = Array.from({ length: batch }, (_, i) => {
    const at = index * batch + i;
    const epoch = Math.floor(at / length);
    return { epoch, sample: epochOrder(plan, epoch)[at % length]! };
  });
  return assemble(
    store,
    samples,
    places.map(({ sample }) => sample),
    batch,
    (content, place) => {
      const { epoch, sample } = places[place]!;
      const { id, spacing } = samples[sample]!;
      return augmented(
        content,
        store.manifest,
        spacing,
        augmentation,
        randomStream(seed, 'augmentation', epoch, id),
      );
    },
  );
}

/** All of some samples in their order; the last batch is filled up with weightless repeats. */
export function* evaluationBatches(
  store: SampleStore,
  samples: readonly SampleEntry[],
  batch: number,
): Generator<SampleBatch> {
  for (let first = 0; first < samples.length; first += batch) {
    const indices = Array.from({ length: batch }, (_, i) => Math.min(first + i, samples.length - 1));
    yield assemble(store, samples, indices, samples.length - first, (content) => content);
  }
}
