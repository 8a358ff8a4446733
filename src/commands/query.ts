import { existsSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { CropGrid } from '../data/scan/crop.js';
import { readBytes } from '../data/scan/file.js';
import { findScans } from '../data/scan/index.js';
import type { XYZ } from '../data/scan/volume.js';
import { identifyScans } from '../data/store/sources.js';
import { abridged, UserError } from '../errors.js';
import { isSame, makeFolder, writeFileAtomic } from '../files.js';
import type { ImageModel } from '../inference/image-model.js';
import { type ModelScan, readModelScan } from '../inference/model-scan.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { meanVector, windowVectors } from '../inference/window-vectors.js';
import { type Reporter, silent } from '../progress.js';
import { isHitsPage, renderHits } from '../report/hits-page.js';
import type { IndexManifest } from '../search/manifest.js';
import { type Hit, openIndex, queryIndex } from '../search/open-index.js';
import { pictureOfGrid, picturesOfHits } from './hit-pictures.js';
import { checkResultFile } from './result-file.js';
import { openScanModel, type WholeScanOptions } from './whole-scans.js';

/** First and last voxel of a box, x, y, z, both included, with the scan's axes along left, posterior, superior. */
export type VoxelBox = readonly [first: XYZ, last: XYZ];

export interface QueryScanOptions
  extends Pick<WholeScanOptions, 'threads' | 'device' | 'keepUids' | 'reporter'> {
  /** Folder that `index` wrote. */
  readonly index: string;
  /** The scan. */
  readonly input: string;
  /** A part of it; all of it without. */
  readonly box?: VoxelBox;
  /** How many to find; 10 without it. */
  readonly k?: number;
  /** The encoder of the index, where it is no longer where it was. */
  readonly model?: string;
  /** A page of pictures to write, `.html`. */
  readonly out?: string;
}

export interface QuerySummary {
  readonly index: string;
  readonly query: { readonly path: string; readonly box: VoxelBox | null; readonly windows: number };
  /** The most similar first; never of the scan itself. */
  readonly hits: readonly Hit[];
  readonly out?: string;
}

/** The encoder that an index was made with. @throws UserError when it is not to be had, or is another */
async function openModel(index: IndexManifest, options: QueryScanOptions): Promise<ImageModel> {
  const path = options.model ?? index.model.path;
  if (options.model === undefined && !existsSync(path))
    throw new UserError('usage', {
      what: 'the encoder that the index was made with is no longer there',
      where: path,
      fix: 'give its file with --model',
    });
  const model = await openScanModel({ ...options, model: path, input: [] }, 'encoder');
  if (model.sha256 === index.model.sha256) return model;
  await model.release();
  throw new UserError('usage', {
    what: 'this is not the encoder that the index was made with',
    where: path,
    got: `SHA-256 ${model.sha256}`,
    expected: index.model.sha256,
    fix: 'give the encoder of the index with --model, or make a new index',
  });
}

/** A box as part of the grid that the model sees. @throws UserError when it does not lie in the scan */
function gridOfBox({ volume, grid }: ModelScan, [first, last]: VoxelBox): CropGrid {
  const { size } = volume;
  const isInside = (at: XYZ) =>
    at.every((value, i) => Number.isInteger(value) && value >= 0 && value < size[i]!);
  if (!isInside(first) || !isInside(last) || first.some((value, i) => value > last[i]!))
    throw new UserError('usage', {
      what: 'this box does not lie in the scan',
      where: 'box',
      got: [...first, ...last].join(','),
      expected: `first and last voxel x,y,z,x,y,z, from 0,0,0 to ${size.map((length) => length - 1).join(',')}`,
    });
  const count = first.map((value, i) => Math.max(1, Math.round((last[i]! - value + 1) / grid.step[i]!)));
  // Voxels of the model fill the box from its middle: the first lies half of one behind the box's edge, not on it.
  const start = first.map((value, i) => value + (last[i]! - value - (count[i]! - 1) * grid.step[i]!) / 2);
  return { size: count as unknown as XYZ, first: start as unknown as XYZ, step: grid.step };
}

/** What is looked for: the mean over windows of the index's size that cover a scan, or a box of it. */
export interface Query {
  readonly features: Float32Array;
  /** Of the scan or the box, in the grid that the model sees. */
  readonly grid: CropGrid;
  readonly windows: number;
}

/**
 * The vector of a scan, or of a box of it. A box that is smaller than a window is taken with what surrounds it.
 * @throws UserError when the box does not lie in the scan, and what `onWindows` throws
 */
export async function queryOf(
  model: ImageModel,
  scan: ModelScan,
  { window }: Pick<IndexManifest, 'window'>,
  box: VoxelBox | undefined,
  onWindows: (done: number, total: number) => void,
): Promise<Query> {
  const grid = box ? gridOfBox(scan, box) : scan.grid;
  const windows = checkedWindows(model, { window }, 0);
  const vectors = await windowVectors(model, { ...scan, grid }, windows, 'features', onWindows);
  return { features: meanVector(vectors), grid, windows: vectors.length };
}

/** {@link queryOf}, with its progress. */
async function reportedQuery(
  model: ImageModel,
  scan: ModelScan,
  index: IndexManifest,
  box: VoxelBox | undefined,
  reporter: Reporter,
): Promise<Query> {
  const progress = reporter.start({ label: 'query', total: 1, unit: 'scans' });
  try {
    const query = await queryOf(model, scan, index, box, (done, total) =>
      progress.update(0, { windows: `${done}/${total}` }),
    );
    progress.update(1);
    return query;
  } finally {
    progress.stop();
  }
}

/** The one scan that is meant. @throws UserError when there are several */
async function oneScan(input: string, keepUids: boolean): Promise<string> {
  const [path, ...others] = await findScans([input], { keepUids });
  if (others.length === 0) return path!;
  throw new UserError('usage', {
    what: 'a query is one scan, and there are several here',
    where: input,
    got: abridged([path!, ...others]),
    fix: 'choose one of them',
  });
}

/** Bytes of a page in which its heading is. */
const PAGE_START = 1 << 16;

/**
 * Finds the scans or regions of an index that are most like a scan, or a box of it.
 * @throws UserError when the index, the scan or the encoder cannot be used, or the box does not lie in the scan
 * @example
 * const { hits } = await queryScan({ index: 'index', input: 'scan.nii.gz', box: [[40, 60, 20], [79, 99, 39]] });
 */
export async function queryScan(options: QueryScanOptions): Promise<QuerySummary> {
  const { input, box, k = 10, out, keepUids = false, reporter = silent } = options;
  if (out !== undefined) {
    const sources = { model: options.model, input: [input] };
    await checkResultFile(out, sources, {
      endings: ['html'],
      isResult: async (path) => isHitsPage((await readBytes(path, 0, PAGE_START)).toString('utf8')),
    });
  }
  const index = openIndex(options.index);
  const { sources } = index.manifest;
  const path = await oneScan(input, keepUids);
  const model = await openModel(index.manifest, options);
  try {
    const scan = await readModelScan(path, model, (line) => reporter.log(line));
    const { features, grid, windows } = await reportedQuery(model, scan, index.manifest, box, reporter);
    // An index of features may not know where its scans lie.
    const [name] = identifyScans([path]).keys();
    const own = sources.find((source) =>
      source.path === null ? source.name === name : isSame(source.path, path),
    );
    const hits = queryIndex(index, features, { k, without: own?.name });
    const query = { path: resolve(path), box: box ?? null, windows };
    if (out === undefined) return { index: options.index, query, hits };
    makeFolder(dirname(out));
    const page = renderHits({
      createdAt: new Date().toISOString(),
      index: index.manifest,
      query: { title: basename(path), picture: pictureOfGrid(scan.volume, grid) },
      hits: await picturesOfHits(hits, index.manifest, model, scan),
      box: query.box,
    });
    writeFileAtomic(out, page);
    return { index: options.index, query, hits, out };
  } finally {
    await model.release();
  }
}
