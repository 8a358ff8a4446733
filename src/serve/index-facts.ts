/** The index of a service: what is told of it, and the scans that it is of. */
import { principalComponents, umap } from '../analysis/embedding.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { type IndexManifest, indexState } from '../search/manifest.js';
import { openIndex, type SearchIndex } from '../search/open-index.js';
import type { IndexSource, ModelFacts } from './jobs.js';

/** A row of the index as a point of a plane, in which neighbours are close together. */
export interface MapPoint {
  readonly source: string;
  /** Middle of the window in LPS mm, as hits have it; null for a whole scan. */
  readonly centre: XYZ | null;
  readonly x: number;
  readonly y: number;
}

export interface ServedIndex {
  readonly source: IndexSource;
  readonly manifest: IndexManifest;
  /** Of some rows; null where they are too few. */
  readonly map: readonly MapPoint[] | null;
}

/** Rows that are drawn; more would take the start of a service minutes. */
const MOST_POINTS = 1000;
/** Fewer are no map. */
const LEAST_POINTS = 8;
/** Of the map. */
const SEED = 1;

/** Where a scan of the index is on the service. @param number its place among the sources */
export const indexedScanPath = (number: number): string => `/v1/index/scans/${number}`;

/** Rows at equal distances, by UMAP of their principal components. */
function mapOf(index: SearchIndex): readonly MapPoint[] | null {
  const total = index.manifest.rows;
  const count = Math.min(total, MOST_POINTS);
  if (count < LEAST_POINTS) return null;
  const rows = Array.from({ length: count }, (_, i) => Math.floor((i * total) / count));
  const vectors = rows.map((row) => [...index.readVector(row)]);
  return umap(principalComponents(vectors), SEED).map(([x, y], i) => {
    const { source, centre } = index.placeOf(rows[i]!);
    return { source, centre, x, y };
  });
}

/** @throws UserError when there is no index, or it is damaged */
export function openServedIndex(folder: string): ServedIndex {
  const source = { folder, state: indexState(folder) };
  const index = openIndex(folder);
  return { source, manifest: index.manifest, map: mapOf(index) };
}

/** The encoder of an index among those that are served. */
export const encoderOf = ({ manifest }: ServedIndex, models: readonly ModelFacts[]): ModelFacts | undefined =>
  models.find(({ sha256 }) => sha256 === manifest.model.sha256);

/** @throws UserError when none of the models is the encoder of the index */
export function checkEncoder(index: ServedIndex, models: readonly ModelFacts[]): void {
  if (encoderOf(index, models)) return;
  const { path, sha256 } = index.manifest.model;
  throw new UserError('usage', {
    what: 'none of the models is the encoder that the index was made with',
    where: '--index',
    got: models.map((model) => `${model.name} (SHA-256 ${model.sha256.slice(0, 12)}…)`).join(', '),
    expected: `SHA-256 ${sha256.slice(0, 12)}…`,
    fix: `add --model ${path}, or make the index again`,
  });
}
