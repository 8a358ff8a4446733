import { rmSync } from 'node:fs';
import { isSampleStore } from '../data/samples/manifest.js';
import { voxelToWorld } from '../data/scan/geometry.js';
import type { XYZ } from '../data/scan/volume.js';
import type { Failure } from '../data/store/arrays.js';
import { isTileStore } from '../data/store/manifest.js';
import { openTileStore, readTile } from '../data/store/tiles.js';
import { abridged, refuseIdle, UserError } from '../errors.js';
import { checkIntensities } from '../inference/encoder.js';
import type { ImageModel } from '../inference/image-model.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { meanVector, type WindowVector, windowVectors } from '../inference/window-vectors.js';
import { silent } from '../progress.js';
import type { FeatureRow } from '../search/feature-row.js';
import { embedMaps, type MapFormat } from './embed-maps.js';
import { FEATURE_ENDINGS, featureFiles, writeFeatures } from './feature-files.js';
import { removeIfIdle } from './journal.js';
import { isFeatureFile } from './read-features.js';
import { checkResultFile, unfinishedPath, withResultFile } from './result-file.js';
import { messageOf, onOneLine } from './scan-error.js';
import { forEachScan, openScanModel, type WholeScanOptions } from './whole-scans.js';

export interface EmbedOptions extends WholeScanOptions {
  /** Scans, folders of scans, tile stores. */
  readonly input: readonly string[];
  /** `.npy`, `.jsonl` or `.parquet`; with `per: 'map'` a folder. */
  readonly out: string;
  /**
   * A vector a scan, the mean over its windows, or one a window or tile. Scans default to the first, tile stores to the
   * second. `map` writes the feature map of each scan.
   */
  readonly per?: 'scan' | 'window' | 'map';
  /** Of maps; `npy` by default. */
  readonly format?: MapFormat;
}

export interface EmbedSummary {
  readonly files: readonly string[];
  readonly scans: number;
  /** Vectors, or maps. */
  readonly rows: number;
  readonly dimensions: number;
  readonly failures: readonly Failure[];
}

/** What is kept of a finished scan: its rows. */
type Entry = readonly (Omit<FeatureRow, 'source' | 'features'> & {
  /** Float32, base64. */
  readonly features: string;
})[];

const toBase64 = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
const fromBase64 = (text: string) => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

const isStore = (path: string) => isTileStore(path) || isSampleStore(path);

/** A row a window, or their mean. */
export function rowsOf(
  source: string,
  vectors: readonly WindowVector[],
  per: 'scan' | 'window',
): FeatureRow[] {
  if (per === 'window' || vectors.length === 0)
    return vectors.map(({ values, ...place }) => ({ source, windows: 1, ...place, features: values }));
  const features = meanVector(vectors);
  return [{ source, offset: null, centre: null, windows: vectors.length, features }];
}

/** Rows of the scans of a tile store. */
async function storeRows(path: string, model: ImageModel, per: 'scan' | 'window'): Promise<FeatureRow[]> {
  const store = openTileStore(path);
  checkIntensities(model, model.path, store);
  const [x, y, z] = store.size;
  const rows: FeatureRow[] = [];
  for (const scan of store.manifest.scans) {
    const vectors = [];
    for (const [index, { offset }] of scan.tiles.entries()) {
      const { features } = await model.run(readTile(store, { scan, index }), [1, z, y, x]);
      const middle = offset.map((first, i) => first + (store.size[i]! - 1) / 2) as unknown as XYZ;
      vectors.push({ offset, centre: voxelToWorld(scan, middle), values: features!.data as Float32Array });
    }
    rows.push(...rowsOf(scan.id, vectors, per));
  }
  return rows;
}

/** Rows of all tile stores. @throws UserError when two of them have a scan of the same name */
async function embedStores(paths: readonly string[], model: ImageModel, options: EmbedOptions) {
  const { per = 'window', reporter = silent } = options;
  const rows: FeatureRow[] = [];
  const failures: Failure[] = [];
  /** Stores by the names of their scans. */
  const sources = new Map<string, string>();
  if (paths.length === 0) return { rows, failures, sources };
  const progress = reporter.start({ label: 'embed', total: paths.length, unit: 'stores' });
  try {
    for (const [done, path] of paths.entries()) {
      progress.update(done);
      let own: FeatureRow[] = [];
      try {
        own = await storeRows(path, model, per as 'scan' | 'window');
      } catch (error) {
        const message = messageOf(error, path);
        failures.push({ source: path, message });
        progress.log(message);
      }
      for (const { source } of own) claimName(sources, source, path);
      rows.push(...own);
    }
    progress.update(paths.length);
  } finally {
    progress.stop();
  }
  return { rows, failures, sources };
}

/** @throws UserError when scans of another input have this name: one could not tell their rows apart */
function claimName(owners: Map<string, string>, name: string, input: string): void {
  const owner = owners.get(name) ?? input;
  if (owner !== input)
    throw new UserError('input', {
      what: 'two inputs have a scan of the same name',
      where: input,
      got: `${name}, which is in ${owner} too`,
      expected: 'each scan in one input',
      fix: 'embed them apart, and join the results with `p2w merge --name-parts`',
    });
  owners.set(name, input);
}

/** Why there is no row, with what was wrong with the first inputs. */
export const nothingEmbedded = (input: readonly string[], failures: readonly Failure[]): UserError =>
  new UserError('input', {
    what: failures.length > 0 ? 'none of the inputs could be embedded' : 'there are no scans to embed',
    where: abridged(input),
    ...(failures.length > 0 && { got: abridged(failures.map(({ message }) => onOneLine(message))) }),
  });

/**
 * Rows of all scans, and where each scan lies.
 * @param journal file that keeps what is finished
 */
export async function embedScans(
  model: ImageModel,
  options: WholeScanOptions,
  per: 'scan' | 'window',
  journal: string,
): Promise<{ rows: FeatureRow[]; paths: ReadonlyMap<string, string>; failures: readonly Failure[] }> {
  const windows = checkedWindows(model, options, 0);
  const { window, overlap } = windows;
  const { scans, failures } = await forEachScan<readonly WindowVector[], Entry>(model, options, {
    label: 'embed',
    journal,
    settings: { per, window, overlap },
    isThere: () => true,
    compute: (scan, onWindows) => windowVectors(model, scan, windows, 'features', onWindows),
    write: async (name, vectors) =>
      rowsOf(name, vectors, per).map(({ source: _, features, ...of }) => ({
        ...of,
        features: toBase64(features),
      })),
  });
  const rows = scans.flatMap(({ name, entry }) =>
    entry.map(({ features, ...of }): FeatureRow => ({ source: name, ...of, features: fromBase64(features) })),
  );
  return { rows, paths: new Map(scans.map(({ name, path }) => [name, path])), failures };
}

/**
 * Feature vectors of scans and tiles, or feature maps of scans. Scans are brought into LPS orientation, normalised as the model says, and
 * gone through in windows of the size that it was trained on. A scan that cannot be used is reported and does not stop the
 * others. Run again after a kill, it goes on behind the last finished scan.
 * @throws UserError when the model is no encoder, the device is not to be had, the windows do not suit the model, an input does not exist,
 *   none can be used, or the result cannot be written
 * @example
 * await embed({ model: 'encoder/encoder.onnx', input: ['scans'], out: 'features.npy' });
 */
export async function embed(options: EmbedOptions): Promise<EmbedSummary> {
  const { input, out } = options;
  const stores = input.filter(isStore);
  if (options.per === 'map') {
    if (stores.length === 0) return embedMaps(options);
    throw new UserError('usage', {
      what: 'feature maps are made of scans, not of tiles',
      where: stores[0]!,
      expected: 'scans, or folders of scans',
    });
  }
  if (options.format)
    throw new UserError('usage', {
      what: 'only feature maps have a choice of formats',
      where: '--format',
      got: `${options.format}, without --per map`,
      fix: 'add --per map, or leave --format out: the ending of --out decides',
    });
  if (options.shard && stores.length > 0)
    throw new UserError('usage', {
      what: 'scans are divided into shards, not the tiles of a store',
      where: '--shard',
      got: stores[0]!,
      expected: 'scans, or folders of scans',
    });
  const paths = input.filter((path) => !stores.includes(path));
  if (paths.length === 0)
    refuseIdle('stores of tiles, each of which is a window', {
      '--window': options.window,
      '--overlap': options.overlap,
      '--batch': options.batch,
    });
  await checkResultFile(
    out,
    { model: options.model, input: paths },
    {
      endings: FEATURE_ENDINGS,
      beside: featureFiles(out)[1],
      isResult: isFeatureFile,
    },
  );
  const model = await openScanModel(options, 'encoder');
  try {
    const { per = 'scan' } = options;
    return await withResultFile(out, 'embed', options.shard, async () => {
      const scans =
        paths.length === 0
          ? { rows: [], failures: [] }
          : await embedScans(
              model,
              { ...options, input: paths },
              per as 'scan' | 'window',
              unfinishedPath(out),
            );
      const tiles = await embedStores(stores, model, options);
      const rows = [...tiles.rows, ...scans.rows];
      for (const { source } of scans.rows) claimName(tiles.sources, source, 'the scans');
      const failures = [...tiles.failures, ...scans.failures];
      const summary = {
        scans: new Set(rows.map(({ source }) => source)).size,
        rows: rows.length,
        dimensions: rows[0]?.features.length ?? 0,
        failures,
      };
      if (options.shard) return { files: [], ...summary };
      if (rows.length === 0) {
        removeIfIdle(unfinishedPath(out));
        throw nothingEmbedded(input, failures);
      }
      const files = await writeFeatures(out, rows);
      rmSync(unfinishedPath(out), { force: true });
      return { files, ...summary };
    });
  } finally {
    await model.release();
  }
}
