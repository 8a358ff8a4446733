import { arrayFile, type StoredArray } from '../data/store/arrays.js';
import { UserError } from '../errors.js';
import { commitTogether, contentFile } from '../files.js';
import type { Engine } from '../runtime/engine.js';
import type { FeatureRow } from './feature-row.js';
import { divide, type Lists, measureRecall, type Recall } from './lists.js';
import { type IndexManifest, indexArrays, indexManifestPath, indexManifestText } from './manifest.js';
import { meanOf, notFinite, rowOf, toUnit, type Vectors } from './vectors.js';

/**
 * Up to this many values, 131,072 vectors of 512, all are compared, which takes less than a tenth of a second. An embedded store would
 * not be felt below that, and would cost more than it gains: LanceDB brings 163 MB, and its current version needs Node.js 22, as does
 * usearch; the others compile or download at installation, or are for browsers. Above it, the lists of `lists.ts` find as
 * much in about the time that LanceDB takes. docs/search.md has the figures.
 */
export const EXACT_VALUES = 2 ** 26;

export interface IndexOptions extends Pick<IndexManifest, 'model' | 'window'> {
  /** Of scans, by name: where pictures are cut from. */
  readonly paths?: ReadonlyMap<string, string>;
  /** Share of the ten nearest neighbours that queries are to find. */
  readonly recall: number;
  /** Above this many values rows are divided among lists; {@link EXACT_VALUES} without it. */
  readonly exactValues?: number;
  /** 0 is one a core. */
  readonly threads?: number;
}

/** All rows less their mean, of length 1. @throws UserError for rows of several lengths, or values that are not finite */
function unitsOf(rows: readonly FeatureRow[]): { mean: Float32Array; units: Vectors } {
  const dimensions = rows[0]!.features.length;
  const values = new Float32Array(rows.length * dimensions);
  for (const [i, { source, features }] of rows.entries()) {
    if (features.length !== dimensions)
      throw new UserError('input', {
        what: 'not all vectors have the same length',
        where: source,
        got: String(features.length),
        expected: `${dimensions}, as those before`,
      });
    if (!features.every(Number.isFinite)) throw notFinite(source);
    values.set(features, i * dimensions);
  }
  const units = { dimensions, values };
  const mean = meanOf(units);
  for (const [i, { source }] of rows.entries())
    values.set(toUnit(rowOf(units, i), mean, source), i * dimensions);
  return { mean, units };
}

/** Few rows in one list, many in lists of which a query looks at some. @param scanOf the scan of each row */
async function listsOf(
  units: Vectors,
  scanOf: Uint32Array,
  options: IndexOptions,
  engine: Engine,
): Promise<Lists & Recall> {
  const { recall, exactValues = EXACT_VALUES, threads = 0 } = options;
  const { dimensions, values } = units;
  if (values.length <= exactValues) {
    const centres = { dimensions, values: new Float32Array(dimensions) };
    return { centres, listOf: new Uint32Array(scanOf.length), probes: 1, recall: 1 };
  }
  const lists = await divide(units, Math.round(Math.sqrt(scanOf.length)), engine, threads);
  return { ...lists, ...measureRecall(units, lists, recall, scanOf) };
}

/**
 * Writes an index of feature vectors into a folder, over one that is there.
 * @throws UserError when there are no vectors, they do not belong together, or the folder cannot be written to
 * @example
 * await buildIndex('index', rows, { model, window: [64, 64, 32], recall: 0.99 }, nodeEngine);
 */
export async function buildIndex(
  folder: string,
  rows: readonly FeatureRow[],
  options: IndexOptions,
  engine: Engine,
): Promise<IndexManifest> {
  if (rows.length === 0) throw new UserError('input', { what: 'there are no vectors to index' });
  const { mean, units } = unitsOf(rows);
  const counts = new Map<string, number>();
  for (const { source } of rows) counts.set(source, (counts.get(source) ?? 0) + 1);
  const numbers = new Map([...counts.keys()].map((name, i) => [name, i]));
  const scanOf = Uint32Array.from(rows, ({ source }) => numbers.get(source)!);
  const { centres, listOf, probes, recall } = await listsOf(units, scanOf, options, engine);
  const lists = new Array<number>(centres.values.length / units.dimensions).fill(0);
  for (const list of listOf) lists[list]!++;
  const content = {
    dimensions: units.dimensions,
    rows: rows.length,
    model: options.model,
    window: options.window,
    sources: [...counts].map(([name, count]) => ({
      name,
      path: options.paths?.get(name) ?? null,
      rows: count,
    })),
    ...{ lists, probes, recall },
  };
  // A stable sort: within a list, rows stay in their order.
  const order = Uint32Array.from(rows.keys()).sort((a, b) => listOf[a]! - listOf[b]! || a - b);
  const place = ({ source, windows, offset, centre }: FeatureRow) =>
    Float32Array.of(
      numbers.get(source)!,
      windows,
      ...(offset ?? [Number.NaN, Number.NaN, Number.NaN]),
      ...(centre ?? [Number.NaN, Number.NaN, Number.NaN]),
    );
  const arrays = indexArrays(folder, content);
  const of = (array: StoredArray, items: Iterable<ArrayBufferView>) => () => arrayFile(folder, array, items);
  // The manifest comes last: without it, it is no index.
  commitTogether([
    of(
      arrays.vectors,
      each(order, (row) => rowOf(units, row)),
    ),
    of(
      arrays.places,
      each(order, (row) => place(rows[row]!)),
    ),
    of(arrays.centres, [centres.values]),
    of(arrays.mean, [mean]),
    () => contentFile([indexManifestPath(folder), indexManifestText(content)]),
  ]);
  return { format: 'parts2whole-index', version: 1, ...content };
}

function* each<T>(order: Uint32Array, of: (row: number) => T): Iterable<T> {
  for (const row of order) yield of(row);
}
