/** Features as points of a plane, so that neighbours stay neighbours. */
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
      what: 'a feature is not a finite number',
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
