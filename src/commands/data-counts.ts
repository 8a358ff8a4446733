/** How much data a run was given, for model cards: what its store says, as far as that is still where it was. */
import { patientsOf, trainingSamples, validationSamples } from '../data/samples/batches.js';
import type { SampleEntry, SampleSplit } from '../data/samples/manifest.js';
import { openSampleStore } from '../data/samples/store.js';
import { openTileStore } from '../data/store/tiles.js';
import { UserError } from '../errors.js';
import type { FinetuneRunFacts, RunFacts } from '../runs/run.js';

export interface SampleCount {
  readonly samples: number;
  /** Null where each sample counts as a patient, which may not be so. */
  readonly patients: number | null;
}

/** A store, if it is there and has not changed since. */
function unchanged<S extends { readonly hash: string }>(open: () => S, hash: string): S | null {
  try {
    const store = open();
    return store.hash === hash ? store : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/**
 * Of a fine-tuning run: what it learns from, what its validations look at, and what it is tested on.
 * @param hash of the data that it was trained on
 */
export function sampleCounts(
  { data, config }: FinetuneRunFacts,
  hash: string,
): Readonly<Record<SampleSplit, SampleCount>> | null {
  const store = unchanged(() => openSampleStore(data), hash);
  if (!store) return null;
  const { samples: all } = store.manifest;
  const isKnown = patientsOf(all).length < all.length;
  const count = (samples: readonly SampleEntry[]): SampleCount => ({
    samples: samples.length,
    patients: isKnown ? patientsOf(samples).length : null,
  });
  return {
    train: count(trainingSamples(store.manifest, config)),
    validation: count(validationSamples(store.manifest, config.validation)),
    test: count(all.filter(({ split }) => split === 'test')),
  };
}

/** How many scans the training tiles of a pre-training run are of. @param hash of the data that it was trained on */
export function trainingScans({ data }: Pick<RunFacts, 'data'>, hash: string): number | null {
  const store = unchanged(() => openTileStore(data), hash);
  return store && new Set(store.train.map(({ scan }) => scan.id)).size;
}
