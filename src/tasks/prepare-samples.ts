import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ADAPTERS, type AdapterOptions, type TaskName } from '../data/adapters/index.js';
import {
  checkSampleFormat,
  SAMPLE_SPLITS,
  type SampleFormat,
  type SampleSplit,
  sampleManifestPath,
  sampleManifestText,
} from '../data/samples/manifest.js';
import type { SampleSource } from '../data/samples/source.js';
import { drawSampleSplit } from '../data/samples/split.js';
import { checkPatients, openSampleStore } from '../data/samples/store.js';
import { finishedSamples, type WrittenSample, writeSamples } from '../data/samples/writer.js';
import { fromSystemError, UserError } from '../errors.js';
import { removeTemporaries, writeFileAtomic } from '../files.js';
import { acquireLock } from '../lock.js';

export interface PrepareSamplesOptions extends AdapterOptions {
  readonly task: TaskName;
  /** A file or folder of the task's layout. */
  readonly input: string;
  /** Folder of the sample store; one that was interrupted goes on. */
  readonly out: string;
  /** Shares of the patients, where the data set has no split of its own. */
  readonly valFraction?: number;
  readonly testFraction?: number;
  /** Of the split. */
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface PrepareSamplesSummary {
  readonly out: string;
  readonly task: string;
  readonly kind: SampleFormat['kind'];
  readonly classes: readonly string[];
  /** Of each split: samples, patients, and samples of each class. */
  readonly splits: Readonly<Record<SampleSplit, SplitFacts>>;
  readonly failures: readonly { readonly source: string; readonly message: string }[];
  readonly hash: string;
}

interface SplitFacts {
  readonly samples: number;
  readonly patients: number;
  /** By class; empty in segmentation. */
  readonly labels: Readonly<Record<string, number>>;
}

const { version } = createRequire(import.meta.url)('parts2whole/package.json') as { version: string };

/**
 * Reads a labelled data set of a known layout and cuts it into samples: a store that {@link openSampleStore} opens.
 * One scan is in memory at a time. A scan that cannot be used does not stop the others: it is in `failures`.
 * @throws UserError for a folder that is no such data set, a store in use, patients in two splits, and a full disk
 * @example
 * await prepareSamples({ task: 'ncc', input: 'luna16', out: 'candidates', size: [16, 16, 16] });
 */
export async function prepareSamples(options: PrepareSamplesOptions): Promise<PrepareSamplesSummary> {
  const { task, input, out, valFraction = 0.15, testFraction = 0.25, seed = 1 } = options;
  const { format: described, sources, problems } = await ADAPTERS[task].open(input, options);
  const format = checkSampleFormat(described);
  if (sources.length === 0)
    throw new UserError('input', { what: 'there is nothing to prepare', where: input });
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw fromSystemError(error, out);
  }
  const lock = acquireLock(out, 'prepare');
  try {
    removeTemporaries(out);
    const written: { source: SampleSource; samples: readonly WrittenSample[] }[] = [];
    const failures = [...problems];
    for (const [i, source] of sources.entries()) {
      options.onProgress?.(i, sources.length);
      try {
        const samples =
          finishedSamples(out, format, source.id) ??
          writeSamples(out, format, source.id, await source.read());
        written.push({ source, samples });
      } catch (error) {
        if (error instanceof UserError && error.kind === 'disk') throw error;
        failures.push({ source: source.id, message: error instanceof Error ? error.message : String(error) });
      }
    }
    options.onProgress?.(sources.length, sources.length);
    const undecided = written.filter(({ source }) => source.split === null);
    const drawn = drawSampleSplit(
      undecided.flatMap(({ samples }) => samples.map(({ patient }) => patient)),
      { validation: valFraction, test: testFraction },
      seed,
    );
    const samples = written.flatMap(({ source, samples }) =>
      samples.map((sample) => ({ ...sample, split: source.split ?? drawn.get(sample.patient)! })),
    );
    checkPatients(samples, input);
    const manifest = { createdBy: `parts2whole ${version}`, ...format, samples, failures };
    writeFileAtomic(sampleManifestPath(out), sampleManifestText(manifest));
    return summarise(out);
  } finally {
    lock.release();
  }
}

function summarise(out: string): PrepareSamplesSummary {
  const { manifest, hash } = openSampleStore(out);
  const { task, kind, classes, failures } = manifest;
  const factsOf = (split: SampleSplit): SplitFacts => {
    const samples = manifest.samples.filter((sample) => sample.split === split);
    const count = (label: number) => samples.filter((sample) => sample.label === label).length;
    return {
      samples: samples.length,
      patients: new Set(samples.map(({ patient }) => patient)).size,
      labels: kind === 'classification' ? Object.fromEntries(classes.map((name, i) => [name, count(i)])) : {},
    };
  };
  const splits = Object.fromEntries(SAMPLE_SPLITS.map((split) => [split, factsOf(split)]));
  return { out, task, kind, classes, splits: splits as Record<SampleSplit, SplitFacts>, failures, hash };
}

/** A summary as text: a line a split, what failed and why. */
export function formatPrepareSamples(summary: PrepareSamplesSummary): string {
  const { out, task, kind, splits, failures } = summary;
  const lines = Object.entries(splits).map(([split, { samples, patients, labels }]) => {
    const counts = Object.entries(labels).map(([name, count]) => `${count} of class ${name}`);
    return `${split}: ${samples} samples of ${patients} patients${counts.length > 0 ? `: ${counts.join(', ')}` : ''}`;
  });
  return [
    ...failures.map(({ source, message }) => `${source}: failed\n  ${message.replaceAll('\n', '\n  ')}`),
    `${out}: ${task}, ${kind}`,
    ...lines,
    ...(failures.length > 0 ? [`${failures.length} failed`] : []),
    `next: p2w finetune --data ${out} --init random --out runs/finetune`,
  ].join('\n');
}
