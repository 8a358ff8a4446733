/** Features as points of a plane, so that neighbours stay neighbours. */
import { TSNE } from '@keckelt/tsne';
import { PCA } from 'ml-pca';
import { UMAP } from 'umap-js';
import { UserError } from '../errors.js';
import { randomStream } from '../random.js';

/** Rows of features, and what they become. */
export type Points = readonly (readonly number[])[];

/** Principal components at most, before neighbours are looked for. */
const COMPONENTS = 50;

/**
 * Features along their principal axes, longest first.
 * @throws UserError for a value that is no number
 */
export function principalComponents(rows: Points, components = COMPONENTS): number[][] {
  if (rows.some((row) => row.some((value) => !Number.isFinite(value))))
    throw new UserError('input', {
      what: 'a feature is no number',
      fix: 'use another encoder or checkpoint',
    });
  const nComponents = Math.min(components, rows[0]!.length, rows.length);
  const pca = new PCA(
    rows.map((row) => [...row]),
    { method: 'SVD' },
  );
  return pca
    .predict(
      rows.map((row) => [...row]),
      { nComponents },
    )
    .to2DArray();
}

const PERPLEXITY = 30;
export const TSNE_STEPS = 500;
/**
 * Learning rate for n points (Belkina et al. 2019: n over the early exaggeration); fewer than 120 points keep the
 * library's 10.
 */
const learningRate = (points: number) => Math.max(10, points / 12);
/** Standard deviation of the first solution along its longer axis (van der Maaten & Hinton 2008). */
const START_DEVIATION = 1e-4;

/**
 * t-SNE (van der Maaten & Hinton 2008), perplexity 30, from the first two principal components: nothing is random, and
 * distances between groups mean more than from a random start (Kobak & Linderman 2021).
 * @param points few columns, such as principal components
 * @param onProgress after each of {@link TSNE_STEPS} steps
 * @returns x and y of each point
 */
export function tsne(points: Points, onProgress?: (done: number) => void): [x: number, y: number][] {
  const perplexity = Math.min(PERPLEXITY, Math.max(2, Math.floor((points.length - 1) / 3)));
  const model = new TSNE({ dim: 2, perplexity, epsilon: learningRate(points.length) });
  model.initDataRaw(points.map((point) => [...point]));
  const start = model.getSolution() as number[][];
  const deviation = Math.sqrt(points.reduce((sum, [x]) => sum + x! * x!, 0) / points.length) || 1;
  for (const [i, place] of start.entries())
    for (const axis of [0, 1]) place[axis] = ((points[i]![axis] ?? 0) * START_DEVIATION) / deviation;
  for (let step = 1; step <= TSNE_STEPS; step++) {
    model.step();
    onProgress?.(step);
  }
  return (model.getSolution() as number[][]).map(([x, y]) => [x!, y!]);
}

const NEIGHBOURS = 15;

/** UMAP (McInnes et al. 2018) with its usual 15 neighbours; the same seed gives the same points. */
export function umap(points: Points, seed: number): [x: number, y: number][] {
  const random = randomStream(seed, 'umap');
  const model = new UMAP({
    nComponents: 2,
    nNeighbors: Math.min(NEIGHBOURS, points.length - 1),
    random: () => random.uniform(),
  });
  return model.fit(points.map((point) => [...point])).map(([x, y]) => [x!, y!]);
}
