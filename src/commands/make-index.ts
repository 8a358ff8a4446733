import { resolve } from 'node:path';
import { findScans } from '../data/scan/index.js';
import type { Failure } from '../data/store/arrays.js';
import { identifyScans } from '../data/store/sources.js';
import { abridged, UserError } from '../errors.js';
import type { ImageModel } from '../inference/image-model.js';
import { checkedWindows, type Windows } from '../inference/predict-scan.js';
import { nodeEngine } from '../runtime/node.js';
import { buildIndex } from '../search/build-index.js';
import type { FeatureRow } from '../search/feature-row.js';
import { readIndexManifest } from '../search/manifest.js';
import { checkFeatures } from './check-features.js';
import { embedScans, nothingEmbedded } from './embed.js';
import { openJournal, removeIfIdle } from './journal.js';
import { readFeatures } from './read-features.js';
import { journalPath, withResultFolder } from './result-folder.js';
import { openScanModel, type WholeScanOptions } from './whole-scans.js';

export interface MakeIndexOptions extends Omit<WholeScanOptions, 'input' | 'shard'> {
  /**
   * Scans, and folders of scans. With `features`, where pictures of the hits are cut from, and what some of the features are compared
   * with; optional then.
   */
  readonly input?: readonly string[];
  /** Feature vectors that `embed` wrote with this model, instead of computing them. */
  readonly features?: string;
  /** Folder of the index. */
  readonly out: string;
  /** A vector a scan, the mean over its windows (the default), or one a window. */
  readonly per?: 'scan' | 'window';
  /** Share of the ten nearest neighbours that queries of a large index are to find; 0.99 without it. */
  readonly recall?: number;
}

export interface IndexSummary {
  readonly out: string;
  readonly scans: number;
  readonly rows: number;
  readonly dimensions: number;
  /** Lists that the rows are divided among, and how many of them a query looks at: 1 of 1 compares all. */
  readonly lists: number;
  readonly probes: number;
  /** Share of the ten nearest neighbours that are found, as measured on some of the rows. */
  readonly recall: number;
  readonly failures: readonly Failure[];
}

const RECALL = 0.99;

/** @throws UserError for options that contradict each other */
function checkOptions({ input, features, per, overlap, recall = RECALL }: MakeIndexOptions): void {
  if (!(recall > 0 && recall <= 1))
    throw new UserError('usage', {
      what: 'this is not a share of the nearest neighbours',
      where: '--recall',
      got: String(recall),
      expected: 'above 0 and at most 1, such as 0.99',
    });
  if (features === undefined && !input?.length)
    throw new UserError('usage', { what: 'there is nothing to index', expected: '--input or --features' });
  if (features === undefined) return;
  for (const [option, value] of Object.entries({ '--per': per, '--overlap': overlap }))
    if (value !== undefined)
      throw new UserError('usage', {
        what: 'features have been computed already',
        where: option,
        got: String(value),
        fix: 'give it to `p2w embed`',
      });
}

/** Features from a file. @throws UserError when they are not as long as this model's */
async function featuresOf(path: string, { outputs, path: model }: ImageModel): Promise<FeatureRow[]> {
  const rows = await readFeatures(path);
  const length = outputs.get('features')?.[1];
  const other = rows.find(({ features }) => features.length !== length);
  if (other && typeof length === 'number')
    throw new UserError('input', {
      what: 'these features are of another model',
      where: path,
      got: `vectors of ${other.features.length} features`,
      expected: `${length}, as ${model} computes them`,
    });
  return rows;
}

/** Scans by name, where they lie. */
const pathsByName = async (input: readonly string[], keepUids: boolean) =>
  identifyScans(input.length === 0 ? [] : await findScans([...input], { keepUids }));

/** Features from a file, and where their scans lie. @throws UserError when they are not those of this model and these windows */
async function checkedFeatures(
  model: ImageModel,
  windows: Windows,
  { features, input = [], window, keepUids = false, reporter }: MakeIndexOptions & { features: string },
) {
  const rows = await featuresOf(features, model);
  const paths = await pathsByName(input, keepUids);
  const note = (line: string) => reporter?.log(line);
  if (!(await checkFeatures(model, windows, rows, features, paths, note)) && window === undefined)
    note(
      `note: the features are taken for those of windows of ${windows.window.join('×')} voxels: if \`p2w embed\` had another --window, give it here too; with its scans as --input, this is checked`,
    );
  return { rows, paths, failures: [] };
}

/** Scans of the index that a folder has already. */
function formerSources(out: string): string[] {
  try {
    return readIndexManifest(out).sources.map(({ name }) => name);
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}

/**
 * Makes an index of feature vectors, of scans or of their windows, for `query`. Run again, with more scans in its input, it computes those only.
 * @throws UserError when the model is no encoder, the windows do not suit it, none of the scans can be used, the features are not its own or
 *   not of these windows, or the folder holds something else
 * @example
 * await makeIndex({ model: 'encoder/encoder.onnx', input: ['scans'], out: 'index' });
 */
export async function makeIndex(options: MakeIndexOptions): Promise<IndexSummary> {
  checkOptions(options);
  const { out, features, input = [], per = 'scan', recall = RECALL } = options;
  const model = await openScanModel({ ...options, input }, 'encoder');
  try {
    const windows = checkedWindows(model, options, 0);
    const given =
      features === undefined ? null : await checkedFeatures(model, windows, { ...options, features });
    return await withResultFolder(
      out,
      features === undefined ? input : [...input, features],
      'index',
      undefined,
      async () => {
        const journal = journalPath(out);
        // Features that are given leave nothing to keep, but mark the folder as ours.
        if (given) openJournal(journal, { model: model.sha256, features: 'given' });
        const former = formerSources(out);
        const { rows, paths, failures } =
          given ?? (await embedScans(model, { ...options, input }, per, journal));
        if (failures.length > 0 && rows.length === 0) {
          removeIfIdle(journal);
          throw nothingEmbedded(input, failures);
        }
        const index = await buildIndex(
          out,
          rows,
          {
            model: { path: resolve(model.path), sha256: model.sha256 },
            window: windows.window,
            paths: new Map([...paths].map(([name, path]) => [name, resolve(path)])),
            ...{ recall, threads: options.threads ?? 0 },
          },
          nodeEngine,
        );
        const left = former.filter((name) => !index.sources.some((source) => source.name === name));
        if (left.length > 0)
          options.reporter?.log(
            `note: the index no longer has ${abridged(left)}: it has what --input names, so name all that it is to have`,
          );
        return {
          out,
          scans: index.sources.length,
          rows: index.rows,
          dimensions: index.dimensions,
          lists: index.lists.length,
          probes: index.probes,
          recall: index.recall,
          failures,
        };
      },
    );
  } finally {
    await model.release();
  }
}
