/** What the commands that run a model on whole scans have in common. */

import { findScans } from '../data/scan/index.js';
import type { Failure } from '../data/store/arrays.js';
import { identifyScans, scanPlace, sourceFiles } from '../data/store/sources.js';
import type { SourceFile } from '../data/store/writer.js';
import { UserError } from '../errors.js';
import { openEngine } from '../execution/open-engine.js';
import { type ImageModel, openImageModel } from '../inference/image-model.js';
import type { ModelKind } from '../inference/model-interface.js';
import { type ModelScan, readModelScan } from '../inference/model-scan.js';
import type { WindowOptions } from '../inference/predict-scan.js';
import { type Reporting, silent } from '../progress.js';
import { checkShard, type Shard, shardOf } from '../shard.js';
import { type Journal, openJournal } from './journal.js';
import { messageOf } from './scan-error.js';

export interface WholeScanOptions extends WindowOptions, Reporting {
  /** A model as `export` writes it. */
  readonly model: string;
  /** Scans, and folders of scans. */
  readonly input: readonly string[];
  readonly threads?: number;
  /** Whether DICOM series go by their own identifier (UID), which may lead to the patient; default false. */
  readonly keepUids?: boolean;
  /**
   * Computes only this share of the scans, and keeps what is finished beside the results, which the same call without a shard
   * makes of that of all shards.
   */
  readonly shard?: Shard;
  /** `auto`, `cpu`, `cuda` or `cuda:N`; `auto` without it. */
  readonly device?: string;
}

/** What there is to say of each kind of model. */
const KINDS: Readonly<Record<ModelKind, { name: string; command: string; gives: string; from: string }>> = {
  encoder: {
    ...{ name: 'an encoder', command: 'embed', gives: 'feature vectors' },
    from: 'what `p2w export` makes of a pre-training run',
  },
  autoencoder: {
    ...{ name: 'an autoencoder', command: 'reconstruct', gives: 'reconstructions' },
    from: 'what `p2w export --what autoencoder` makes of a pre-training run',
  },
  classifier: {
    ...{ name: 'a classifier', command: 'classify', gives: 'probabilities of classes' },
    from: 'what `p2w export` makes of a run that was fine-tuned on classes',
  },
  segmenter: {
    ...{ name: 'a segmenter', command: 'segment', gives: 'masks' },
    from: 'what `p2w export` makes of a run that was fine-tuned on masks',
  },
};

/** Whether a model takes images of as many channels as a scan has. */
export const takesScans = ({ channels }: Pick<ImageModel, 'channels'>): boolean => (channels ?? 1) === 1;

/** @throws UserError for a model of another kind, or of images with several channels */
export function checkModel(model: ImageModel, wanted: ModelKind): void {
  const { path, kind, channels } = model;
  // An autoencoder has the encoder's features too.
  if (kind !== wanted && !(kind === 'autoencoder' && wanted === 'encoder'))
    throw new UserError('usage', {
      what: `${KINDS[kind].name} gives ${KINDS[kind].gives}, not ${KINDS[wanted].gives}`,
      where: path,
      got: KINDS[kind].name,
      expected: `${KINDS[wanted].name}: ${KINDS[wanted].from}`,
      fix: `use \`p2w ${KINDS[kind].command}\` with this model`,
    });
  if (!takesScans(model))
    throw new UserError('usage', {
      what: 'this model takes images of several channels, and a scan has one',
      where: path,
      got: `${channels} channels`,
      expected: 'a model of one channel',
      fix: 'run its ONNX file with another program, or prepare and fine-tune on one of the channels',
    });
}

/** Opens a model for whole scans. @throws UserError when it is of no use for them, or the device is not to be had */
export async function openScanModel(options: WholeScanOptions, wanted: ModelKind): Promise<ImageModel> {
  if (options.shard) checkShard(options.shard);
  const model = openImageModel(options.model, await openEngine(options.device ?? 'auto'), options.threads);
  checkModel(model, wanted);
  return model;
}

/** How scans are gone through. */
interface Work<Result, Entry> {
  readonly label: string;
  /** File of the {@link openJournal}. */
  readonly journal: string;
  /** All that results depend on, apart from the model. */
  readonly settings: Record<string, unknown>;
  /** Whether what was written for a finished scan is still there. */
  readonly isThere: (entry: Entry) => boolean;
  /** What it throws is why the scan failed. */
  readonly compute: (scan: ModelScan, onWindows: (done: number, total: number) => void) => Promise<Result>;
  /** Writes what was computed. What it throws ends the work. @returns what is kept in the journal */
  readonly write: (name: string, result: Result) => Promise<Entry>;
}

/** What is known of a scan that is done. */
export interface KnownScan<Entry> {
  readonly name: string;
  readonly entry: Entry;
}

/** A scan that is done. */
interface FinishedScan<Entry> extends KnownScan<Entry> {
  readonly path: string;
}

export interface Finished<Entry> {
  readonly scans: readonly FinishedScan<Entry>[];
  /** All scans whose results are there: these, then those that earlier calls finished of other inputs. */
  readonly present: readonly KnownScan<Entry>[];
  /** How many of them an earlier run had finished. */
  readonly kept: number;
  readonly failures: readonly Failure[];
}

/**
 * @param where the journal
 * @param scans names and paths
 * @returns the places of scans that the journal knows
 * @throws UserError when the results that are there under the name of a scan are of another one: they would be replaced
 */
async function checkPlaces(
  journal: Journal<unknown>,
  where: string,
  scans: readonly (readonly [name: string, path: string])[],
): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  for (const [name, path] of scans) {
    const before = journal.placeOf(name);
    // One that cannot be read fails when its turn comes.
    const place = before === undefined ? undefined : await scanPlace(path).catch(() => undefined);
    if (place === undefined) continue;
    places.set(name, place);
    if (place === before) continue;
    throw new UserError('usage', {
      what: 'there are results here of another scan of the same name',
      where,
      got: `${name}, now of ${path}`,
      expected: 'the scan that they were made of',
      fix: 'choose another --out',
    });
  }
  return places;
}

/**
 * Goes through scans one by one. A scan that cannot be used does not stop the others; those that an earlier run finished are kept.
 * @throws UserError when there is no scan, results cannot be written, or those that are there were made with other settings or of
 *   other scans of the same names
 */
export async function forEachScan<Result, Entry>(
  model: ImageModel,
  { input, shard, keepUids = false, reporter = silent }: Omit<WholeScanOptions, 'model'>,
  work: Work<Result, Entry>,
): Promise<Finished<Entry>> {
  if (input.length === 0)
    throw new UserError('usage', {
      ...{ what: 'there are no scans to go through', where: 'input', got: 'an empty list' },
      expected: 'scans, or folders of scans',
    });
  const named = identifyScans(
    await findScans([...input], { keepUids, passedOver: (line) => reporter.log(line) }),
  );
  const own = shard ? shardOf([...named], shard) : [...named];
  const journal = openJournal<Entry>(work.journal, { model: model.sha256, ...work.settings }, shard);
  const places = await checkPlaces(journal, work.journal, own);
  const scans: FinishedScan<Entry>[] = [];
  const failures: Failure[] = [];
  let kept = 0;
  const progress = reporter.start({ label: work.label, total: own.length, unit: 'scans' });
  const note = (line: string) => progress.log(line);
  try {
    for (const [name, path] of own) {
      const done = scans.length + failures.length;
      progress.update(done);
      let source: { readonly place: string; readonly files: readonly SourceFile[] };
      let result: Result;
      try {
        source = { place: places.get(name) ?? (await scanPlace(path)), files: await sourceFiles(path) };
        const entry = journal.find(name, source.files);
        if (entry !== undefined && work.isThere(entry)) {
          scans.push({ name, path, entry });
          kept++;
          continue;
        }
        result = await work.compute(await readModelScan(path, model, note), (windows, total) =>
          progress.update(done, { windows: `${windows}/${total}` }),
        );
      } catch (error) {
        const message = messageOf(error, path);
        failures.push({ source: path, message });
        note(message);
        continue;
      }
      const entry = await work.write(name, result);
      journal.add({ scan: name, ...source, entry });
      scans.push({ name, path, entry });
    }
    progress.update(own.length);
    if (!shard) journal.join();
  } finally {
    progress.stop();
  }
  const done = new Set(scans.map(({ name }) => name));
  const others = [...journal.entries()]
    .map(([name, entry]) => ({ name, entry }))
    .filter(({ name, entry }) => !done.has(name) && work.isThere(entry));
  return { scans, present: [...scans, ...others], kept, failures };
}
