import type { XYZ } from '../data/scan/volume.js';
import { checkArray, readItem } from '../data/store/arrays.js';
import { checkInteger } from '../errors.js';
import { nearestLists } from './lists.js';
import {
  damagedIndex,
  type IndexedSource,
  type IndexManifest,
  indexArrays,
  PLACE,
  readIndexManifest,
} from './manifest.js';
import { best, compare, type Scored, toUnit, type Vectors } from './vectors.js';

/** What a query found. */
export interface Hit {
  /** Cosine of the two vectors, each less the mean of the index: −1 … 1. */
  readonly score: number;
  /** The scan's name. */
  readonly source: string;
  /** Where the scan lies; null where the index does not know. */
  readonly path: string | null;
  /** First voxel of the window, x, y, z, with the scan's axes along left, posterior, superior; null for a whole scan. */
  readonly offset: XYZ | null;
  /** Its middle in LPS mm. */
  readonly centre: XYZ | null;
  /** Windows that were averaged. */
  readonly windows: number;
}

/** An index that is ready for queries. One list is held in memory once it has been read, several are read as they are needed. */
export interface SearchIndex {
  readonly folder: string;
  readonly manifest: IndexManifest;
  readonly mean: Float32Array;
  /** The vectors of a list. @param first its first row @throws UserError of kind `usage` unless it is 0 … lists−1 */
  readList(list: number): { readonly first: number; readonly vectors: Vectors };
  /** The vector of a row. @throws UserError of kind `usage` unless it is 0 … rows−1 */
  readVector(row: number): Float32Array;
  /** What the index says of a row. @throws as `readVector` */
  placeOf(row: number): Omit<Hit, 'score'>;
}

export interface QueryOptions {
  /** How many to find; 10 without it. */
  readonly k?: number;
  /** A scan that is left out, by its name: the one that the vector is of. */
  readonly without?: string | undefined;
}

/**
 * Opens an index that `index` wrote.
 * @throws UserError of kind `data` when there is none, or it is damaged
 * @example
 * const hits = queryIndex(openIndex('index'), features, { k: 10 });
 */
export function openIndex(folder: string): SearchIndex {
  const manifest = readIndexManifest(folder);
  const { dimensions, lists, rows, sources } = manifest;
  const arrays = indexArrays(folder, manifest);
  for (const array of Object.values(arrays)) checkArray(array, damagedIndex);
  const mean = new Float32Array(dimensions);
  readItem(arrays.mean, 0, mean);
  const firsts = lists.map(() => 0);
  for (let i = 1; i < lists.length; i++) firsts[i] = firsts[i - 1]! + lists[i - 1]!;
  const read = (list: number) => {
    const values = new Float32Array(lists[list]! * dimensions);
    readItem(arrays.vectors, firsts[list]!, values);
    return { first: firsts[list]!, vectors: { dimensions, values } };
  };
  let only: ReturnType<typeof read> | undefined;
  return {
    folder,
    manifest,
    mean,
    readList: (list) => {
      checkInteger('list', list, 0, lists.length - 1);
      if (lists.length > 1) return read(list);
      only ??= read(0);
      return only;
    },
    readVector: (row) => {
      checkInteger('row', row, 0, rows - 1);
      const vector = new Float32Array(dimensions);
      readItem(arrays.vectors, row, vector);
      return vector;
    },
    placeOf: (row) => {
      checkInteger('row', row, 0, rows - 1);
      const place = new Float32Array(PLACE);
      readItem(arrays.places, row, place);
      const [number, windows, ...xyz] = place as unknown as number[];
      const source = sources[number!];
      if (!source) throw damagedIndex(arrays.places.path, `scan ${number} of ${sources.length}`);
      const isPlaced = !Number.isNaN(xyz[0]);
      return {
        source: source.name,
        path: source.path,
        offset: isPlaced ? (xyz.slice(0, 3) as unknown as XYZ) : null,
        centre: isPlaced ? (xyz.slice(3) as unknown as XYZ) : null,
        windows: windows!,
      };
    },
  };
}

/** The lists that a query looks at: the nearest, and more of them where they have too few rows. */
function probedLists(
  { folder, manifest }: SearchIndex,
  query: Float32Array,
  count: number,
): readonly number[] {
  const { dimensions, lists, probes } = manifest;
  if (probes === lists.length) return lists.map((_, list) => list);
  const values = new Float32Array(lists.length * dimensions);
  readItem(indexArrays(folder, manifest).centres, 0, values);
  let rows = 0;
  return nearestLists(query, { dimensions, values }, lists.length).filter((list, i) => {
    const isProbed = i < probes || rows < count;
    if (isProbed) rows += lists[list]!;
    return isProbed;
  });
}

/**
 * The rows of an index that are most like a vector, best first.
 * @param query of length 1, less the mean of the index: what its own vectors are
 */
export function similarRows(index: SearchIndex, query: Float32Array, count: number): readonly Scored[] {
  const wanted = Math.min(index.manifest.rows, count);
  const found = best(wanted);
  for (const list of probedLists(index, query, wanted)) {
    const { first, vectors } = index.readList(list);
    compare(query, vectors, first, found);
  }
  return found.taken();
}

/** Rows of a scan, by its name. */
const rowsOf = (sources: readonly IndexedSource[], name: string | undefined) =>
  sources.find((source) => source.name === name)?.rows ?? 0;

/**
 * The vectors of an index that are most like a given one, best first.
 * @param vector features, as long as those of the index
 * @throws UserError for a vector of another length or with values that are not finite, and for a `k` below 1
 * @example
 * const hits = queryIndex(index, features, { k: 5, without: 'phantom-0000' });
 */
export function queryIndex(
  index: SearchIndex,
  vector: ArrayLike<number>,
  { k = 10, without }: QueryOptions = {},
): Hit[] {
  checkInteger('k', k, 1);
  const query = toUnit(vector, index.mean, 'the query');
  // As many more as may have to be left out.
  const rows = similarRows(index, query, k + rowsOf(index.manifest.sources, without));
  // Rounded, a cosine may lie beyond its bounds.
  const hits = rows.map(({ row, score }) => ({
    score: Math.min(1, Math.max(-1, score)),
    ...index.placeOf(row),
  }));
  return hits.filter(({ source }) => source !== without).slice(0, k);
}
