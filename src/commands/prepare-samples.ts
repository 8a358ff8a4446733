import {
  ADAPTERS,
  type Adapter,
  type AdapterOptions,
  COLUMN_NAMES,
  type OwnOption,
  TASK_NAMES,
  type TaskName,
} from '../data/adapters/index.js';
import { hasEmptyMask } from '../data/samples/check.js';
import {
  checkSampleFormat,
  SAMPLE_SPLITS,
  type SampleFormat,
  type SampleSplit,
  sampleManifestText,
} from '../data/samples/manifest.js';
import { checkSourceIds, originHash, type SampleSource } from '../data/samples/source.js';
import { divideSamples } from '../data/samples/split.js';
import { splitNotes } from '../data/samples/split-notes.js';
import { checkPatients, openSampleStore } from '../data/samples/store.js';
import {
  finishedSamples,
  type SourceToWrite,
  storedArrays,
  type WrittenSample,
  writeSamples,
} from '../data/samples/writer.js';
import { type Failure, keptFailures, type StoreFailure, toldFailures } from '../data/store/arrays.js';
import { UserError } from '../errors.js';
import { type Reporter, type Reporting, silent } from '../progress.js';
import { checkShard, type Shard, shardOf } from '../shard.js';
import { shellWord } from '../shell.js';
import { version } from '../version.js';
import { type ShardSummary, VAL_FRACTION } from './prepare.js';
import { type Problem, problemOf } from './scan-error.js';
import { checkStoreFolder, writeShard, writeStore } from './store-folder.js';

/** Share of the patients that is for testing, where the caller names none. */
export const TEST_FRACTION = 0.25;

export interface PrepareSamplesOptions extends AdapterOptions, Reporting {
  readonly task: TaskName;
  /** A file or folder of the task's layout. */
  readonly input: string;
  /** Folder of the sample store; one that was interrupted goes on. */
  readonly out: string;
  /** Share of the patients that is for validation, where the data set has no split of its own; default 0.2. */
  readonly valFraction?: number;
  /** The same for testing; default 0.25. */
  readonly testFraction?: number;
  /** Of the split, and of whatever else is drawn; default 1. */
  readonly seed?: number;
}

export interface PrepareSamplesSummary {
  readonly out: string;
  readonly task: string;
  readonly kind: SampleFormat['kind'];
  readonly classes: readonly string[];
  /** Of each split: samples, patients, and samples of each class. */
  readonly splits: Readonly<Record<SampleSplit, SplitFacts>>;
  readonly failures: readonly Failure[];
  /** What may be wrong with the split, with names, and with what was left out. */
  readonly notes: readonly string[];
  readonly hash: string;
}

interface SplitFacts {
  readonly samples: number;
  readonly patients: number;
  /** By class; empty in segmentation. */
  readonly labels: Readonly<Record<string, number>>;
  /** Samples whose mask has no voxel of any class; 0 in classification. */
  readonly emptyMasks: number;
}

/** @throws UserError for shares of the patients that are none, or more than all */
function checkShares(valFraction: number, testFraction: number): void {
  for (const [where, share] of Object.entries({ valFraction, testFraction }))
    if (!(share >= 0 && share <= 1))
      throw new UserError('usage', {
        what: 'this is a share of the patients',
        where,
        got: String(share),
        expected: '0 to 1',
      });
  if (valFraction + testFraction > 1)
    throw new UserError('usage', {
      what: 'validation and test take more than all patients',
      where: 'valFraction and testFraction',
      got: `${valFraction} and ${testFraction}`,
      expected: 'at most 1 together',
    });
}

const OWN_OPTIONS: Readonly<Record<OwnOption, string>> = {
  spacing: '--spacing',
  normalise: '--normalise',
  classes: '--classes',
  columns: '--column',
  negatives: '--negatives',
};

/** @throws UserError for options that the task has no use for, and for columns that no sample is read from */
function checkOwnOptions(options: PrepareSamplesOptions): void {
  const { task } = options;
  const given = { ...options, columns: Object.keys(options.columns ?? {}).length > 0 || undefined };
  const takes = (name: TaskName, option: OwnOption) => (ADAPTERS[name] as Adapter).takes?.includes(option);
  for (const [option, where] of Object.entries(OWN_OPTIONS) as [OwnOption, string][])
    if (given[option] !== undefined && !takes(task, option))
      throw new UserError('usage', {
        what: 'this option is for other tasks',
        where,
        got: `--task ${task}`,
        expected: `--task ${TASK_NAMES.filter((name) => takes(name, option)).join(' or ')}`,
      });
  const names: readonly string[] = COLUMN_NAMES;
  const unknown = Object.keys(options.columns ?? {}).filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new UserError('usage', {
      what: 'samples are not read from columns of this name',
      where: '--column',
      got: unknown.join(', '),
      expected: names.join(', '),
    });
}

/**
 * Reads a labelled data set of a known layout and cuts it into samples: a store that {@link openSampleStore} opens.
 * One scan is in memory at a time. A scan that cannot be used does not stop the others: it is in `failures`.
 * @throws UserError for a folder that is no such data set, a store in use, patients in two splits, and a full disk
 * @example
 * await prepareSamples({ task: 'ncc', input: 'luna16', out: 'candidates', size: [16, 16, 16] });
 */
export async function prepareSamples(options: PrepareSamplesOptions): Promise<PrepareSamplesSummary> {
  const { input, out, valFraction = VAL_FRACTION, testFraction = TEST_FRACTION, seed = 1 } = options;
  const { format, sources, problems, notes: known } = await examine(options);
  let told: readonly Failure[] = [];
  let notes: readonly string[] = [];
  await writeStore(out, async () => {
    const { written, failures: failed } = await writeSources(out, format, sources, options.reporter);
    const failures = [...problems, ...failed];
    told = toldFailures(failures);
    const divided = divideSamples(
      written.flatMap(({ source: { split }, samples }) => samples.map((sample) => ({ ...sample, split }))),
      { validation: valFraction, test: testFraction },
      seed,
    );
    checkPatients(divided, input);
    notes = [...known, ...splitNotes(divided, format)];
    const samples = divided.map(({ imageSha256: _, ...sample }) => sample);
    const manifest = sampleManifestText({
      createdBy: `parts2whole ${version}`,
      ...format,
      samples,
      failures: keptFailures(failures),
    });
    const scans = written.map(({ source }) => source.id);
    return { manifest, scans, arrays: storedArrays(out, format, samples) };
  });
  return { ...summarise(out, told), notes };
}

/**
 * Cuts one shard's share of the scans into samples, while other processes do theirs, on this machine or on others with the same
 * folder. {@link prepareSamples} with the same options then finds them done, and makes the store.
 * @throws UserError as {@link prepareSamples}
 * @example
 * await prepareSamplesShard({ task: 'ncc', input: 'luna16', out: 'candidates' }, { index: 2, count: 8 });
 */
export async function prepareSamplesShard(
  options: PrepareSamplesOptions,
  shard: Shard,
): Promise<ShardSummary> {
  checkShard(shard);
  const { out } = options;
  const { format, sources } = await examine(options);
  return writeShard(out, shard, async () => {
    const { written, failures } = await writeSources(out, format, shardOf(sources, shard), options.reporter);
    return { out, scans: written.length, failures: toldFailures(failures) };
  });
}

/** What is to be cut into samples. @throws UserError for bad options, and what is no such data set */
async function examine(options: PrepareSamplesOptions) {
  const { task, input, out, valFraction = VAL_FRACTION, testFraction = TEST_FRACTION } = options;
  checkShares(valFraction, testFraction);
  checkOwnOptions(options);
  const {
    format: described,
    sources,
    problems,
    notes = [],
  } = await ADAPTERS[task].open(input, {
    passedOver: (line) => options.reporter?.log(line),
    ...options,
  });
  const format = checkSampleFormat(described);
  if (sources.length + problems.length === 0)
    throw new UserError('input', { what: 'there is nothing to prepare', where: input });
  checkSourceIds(sources, input);
  checkStoreFolder(out, [input], 'samples');
  return { format, sources, problems, notes };
}

interface WrittenSource {
  readonly source: SampleSource;
  readonly samples: readonly WrittenSample[];
}

/** Writes the samples of all sources that can be read, one after the other. */
async function writeSources(
  out: string,
  format: SampleFormat,
  sources: readonly SampleSource[],
  reporter: Reporter = silent,
): Promise<{ written: WrittenSource[]; failures: StoreFailure[] }> {
  const written: WrittenSource[] = [];
  const failures: StoreFailure[] = [];
  const progress = reporter.start({ label: 'prepare', total: sources.length, unit: 'scans' });
  try {
    for (const [i, source] of sources.entries()) {
      progress.update(i);
      const loaded = await loadSource(out, format, source);
      if ('problem' in loaded) {
        const { id } = source;
        failures.push({ source: id, message: loaded.problem, kept: { source: id, message: loaded.what } });
      } else {
        const samples = 'finished' in loaded ? loaded.finished : writeSamples(out, format, loaded);
        written.push({ source, samples });
      }
    }
    progress.update(sources.length);
  } finally {
    progress.stop();
  }
  return { written, failures };
}

/** The samples of a source from an earlier run of the same origin, or what is to be written, or why there are none. */
async function loadSource(
  out: string,
  format: SampleFormat,
  source: SampleSource,
): Promise<{ finished: readonly WrittenSample[] } | SourceToWrite | Problem> {
  try {
    const origin = await originHash(format, source.origin);
    const finished = finishedSamples(out, format, source.id, origin);
    return finished ? { finished } : { id: source.id, origin, samples: await source.read() };
  } catch (error) {
    return problemOf(error, source.origin.files[0]!);
  }
}

function summarise(out: string, failures: readonly Failure[]): Omit<PrepareSamplesSummary, 'notes'> {
  const { manifest, hash } = openSampleStore(out);
  const { task, kind, classes } = manifest;
  const factsOf = (split: SampleSplit): SplitFacts => {
    const samples = manifest.samples.filter((sample) => sample.split === split);
    const count = (label: number) => samples.filter((sample) => sample.label === label).length;
    return {
      samples: samples.length,
      patients: new Set(samples.map(({ patient }) => patient)).size,
      emptyMasks: samples.filter(hasEmptyMask).length,
      labels: kind === 'classification' ? Object.fromEntries(classes.map((name, i) => [name, count(i)])) : {},
    };
  };
  const splits = Object.fromEntries(SAMPLE_SPLITS.map((split) => [split, factsOf(split)]));
  return { out, task, kind, classes, splits: splits as Record<SampleSplit, SplitFacts>, failures, hash };
}

function nextStep({ out, splits }: PrepareSamplesSummary): string {
  const lacking = SAMPLE_SPLITS.filter((split) => splits[split].samples === 0);
  if (lacking.length === 0)
    return `next: p2w finetune --data ${shellWord(out)} --init random --out runs/finetune`;
  return lacking.length === SAMPLE_SPLITS.length
    ? 'there are no usable samples'
    : `p2w finetune needs ${lacking.join(' and ')} samples too`;
}

/** A summary as text: a line a split, what failed and why. */
export function formatPrepareSamples(summary: PrepareSamplesSummary): string {
  const { out, task, kind, splits, failures, notes } = summary;
  const lines = Object.entries(splits).map(([split, { samples, patients, labels, emptyMasks }]) => {
    const counts = Object.entries(labels).map(([name, count]) => `${count} of class ${name}`);
    if (emptyMasks > 0) counts.push(`${emptyMasks} with empty masks`);
    return `${split}: ${samples} samples of ${patients} patients${counts.length > 0 ? `: ${counts.join(', ')}` : ''}`;
  });
  return [
    ...failures.map(({ source, message }) => `${source}: failed\n  ${message.replaceAll('\n', '\n  ')}`),
    `${out}: ${task}, ${kind}`,
    ...lines,
    ...notes.map((note) => `note: ${note}`),
    ...(failures.length > 0 ? [`${failures.length} failed`] : []),
    nextStep(summary),
  ].join('\n');
}
