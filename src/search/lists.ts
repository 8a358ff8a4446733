/**
 * An inverted file: rows in lists around centres, of which a query looks at the nearest few. Centres are found by spherical
 * k-means (Dhillon & Modha 2001) on a sample; the products with them are made by ONNX Runtime.
 */
import { productModel } from '../../graphs/programs/product.js';
import { permutation, randomStream } from '../random.js';
import type { Engine } from '../runtime/engine.js';
import { best, compare, rowCount, rowOf, type Vectors } from './vectors.js';

/** Rows of a sample for each list. */
const SAMPLED = 64;
const ITERATIONS = 10;
/** Rows that are compared with all centres at once. */
const BATCH = 4096;

/** Where rows belong. */
export interface Lists {
  /** One a list, of length 1. */
  readonly centres: Vectors;
  /** List of each row. */
  readonly listOf: Uint32Array;
}

type Assign = (rows: Vectors, centres: Vectors) => Promise<Uint32Array>;

/** [rows, dimensions] as [dimensions, rows]. */
function transposed({ dimensions, values }: Vectors): Float32Array {
  const rows = values.length / dimensions;
  const columns = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++)
    columns[(i % dimensions) * rows + Math.floor(i / dimensions)] = values[i]!;
  return columns;
}

/** The nearest centre of each row. */
async function withAssignment<T>(
  engine: Engine,
  dimensions: number,
  threads: number,
  work: (assign: Assign) => Promise<T>,
): Promise<T> {
  const session = await engine.load(productModel(dimensions), { threads });
  try {
    return await work(async (rows, centres) => {
      const [total, lists] = [rowCount(rows), rowCount(centres)];
      const b = { type: 'float32', shape: [dimensions, lists], data: transposed(centres) } as const;
      const nearest = new Uint32Array(total);
      for (let first = 0; first < total; first += BATCH) {
        const count = Math.min(BATCH, total - first);
        const data = rows.values.subarray(first * dimensions, (first + count) * dimensions);
        const { y } = await session.run({ a: { type: 'float32', shape: [count, dimensions], data }, b });
        const scores = y!.data as Float32Array;
        for (let row = 0; row < count; row++) {
          let highest = row * lists;
          for (let i = highest + 1; i < (row + 1) * lists; i++)
            if (scores[i]! > scores[highest]!) highest = i;
          nearest[first + row] = highest - row * lists;
        }
      }
      return nearest;
    });
  } finally {
    await session.release();
  }
}

/** Rows in the order given. */
function gathered(vectors: Vectors, rows: Uint32Array): Vectors {
  const { dimensions } = vectors;
  const values = new Float32Array(rows.length * dimensions);
  for (const [i, row] of rows.entries()) values.set(rowOf(vectors, row), i * dimensions);
  return { dimensions, values };
}

/** The mean direction of the rows of each list; the old centre where there is none. */
function directions(rows: Vectors, listOf: Uint32Array, old: Vectors): Vectors {
  const { dimensions } = rows;
  const sums = new Float64Array(old.values.length);
  for (const [row, list] of listOf.entries())
    for (let i = 0; i < dimensions; i++) sums[list * dimensions + i]! += rows.values[row * dimensions + i]!;
  const values = Float32Array.from(old.values);
  for (let start = 0; start < sums.length; start += dimensions) {
    const own = sums.subarray(start, start + dimensions);
    const length = Math.hypot(...own);
    if (length > 0)
      values.set(
        own.map((sum) => sum / length),
        start,
      );
  }
  return { dimensions, values };
}

/** Divides rows of length 1 among lists, the same for the same rows. */
export async function divide(
  vectors: Vectors,
  lists: number,
  engine: Engine,
  threads: number,
): Promise<Lists> {
  const order = permutation(randomStream(1, 'lists'), rowCount(vectors));
  const sample = gathered(vectors, order.subarray(0, SAMPLED * lists));
  const { dimensions } = vectors;
  return withAssignment(engine, dimensions, threads, async (assign) => {
    let centres: Vectors = { dimensions, values: sample.values.slice(0, lists * dimensions) };
    for (let i = 0; i < ITERATIONS; i++) centres = directions(sample, await assign(sample, centres), centres);
    return { centres, listOf: await assign(vectors, centres) };
  });
}

/** The lists that a query looks at, the nearest first. */
export function nearestLists(query: Float32Array, centres: Vectors, count: number): number[] {
  const found = best(count);
  compare(query, centres, 0, found);
  return found.taken().map(({ row }) => row);
}

/** Rows that are looked for to measure recall, and how many neighbours of each. */
const QUERIES = 200;
export const NEIGHBOURS = 10;

/** What is found by looking at so many lists. */
export interface Recall {
  readonly probes: number;
  /** Share of the ten nearest neighbours that are in them. */
  readonly recall: number;
}

/**
 * Measures on some of the rows how many lists must be looked at. A query is never answered by its own scan, whose other rows are
 * likely to be its nearest, in the list that is looked at first: they do not count.
 * @param wanted share of the ten nearest neighbours, of other scans, that are to be found
 * @param scanOf the scan of each row
 */
export function measureRecall(
  vectors: Vectors,
  { centres, listOf }: Lists,
  wanted: number,
  scanOf: ArrayLike<number>,
): Recall {
  const rows = rowCount(vectors);
  const queries = permutation(randomStream(1, 'recall'), rows).subarray(0, QUERIES);
  const own = new Map<number, number>();
  for (let row = 0; row < rows; row++) own.set(scanOf[row]!, (own.get(scanOf[row]!) ?? 0) + 1);
  // Of each true neighbour: how many lists a query looks at before its own.
  const found = new Uint32Array(rowCount(centres));
  let total = 0;
  for (const row of queries) {
    const query = rowOf(vectors, row);
    const nearest = best(NEIGHBOURS + own.get(scanOf[row]!)!);
    compare(query, vectors, 0, nearest);
    const order = nearestLists(query, centres, found.length);
    const others = nearest.taken().filter((other) => scanOf[other.row] !== scanOf[row]);
    for (const other of others.slice(0, NEIGHBOURS)) {
      found[order.indexOf(listOf[other.row]!)]!++;
      total++;
    }
  }
  // Nothing to measure by, as where all rows are of one scan.
  if (total === 0) return { probes: found.length, recall: 1 };
  let probes = 0;
  let seen = 0;
  while (probes < found.length && seen < wanted * total) seen += found[probes++]!;
  return { probes, recall: seen / total };
}
