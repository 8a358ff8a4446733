/** Averages of networks that were trained apart. */

/** The tensors of one network, and how much it counts. */
export interface Site {
  readonly weight: number;
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

const VARIANCE = /\.running_var$/;
const meanOf = (variance: string) => variance.replace(VARIANCE, '.running_mean');

/** Σ weight · value(site, i) / Σ weight, for each i. */
function weighted(
  sites: readonly Site[],
  length: number,
  value: (tensors: Site['tensors'], i: number) => number,
): Float64Array {
  const total = sites.reduce((sum, { weight }) => sum + weight, 0);
  return Float64Array.from({ length }, (_, i) =>
    sites.reduce((sum, { weight, tensors }) => sum + (weight / total) * value(tensors, i), 0),
  );
}

/**
 * Federated averaging (McMahan et al. 2017): the weighted mean of every tensor. A running variance is that of all sites'
 * values together, whose means differ: the mean of the variances plus the variance of the means (law of total variance). They are known by
 * the names "….running_mean" and "….running_var", as PyTorch's.
 * @param sites of the same network; their weights are positive, and need not add up to 1
 */
export function averageSites(sites: readonly Site[]): Map<string, Float32Array> {
  return new Map(
    [...sites[0]!.tensors].map(([name, { length }]) => {
      const average = weighted(sites, length, (tensors, i) => tensors.get(name)![i]!);
      const isPaired = VARIANCE.test(name) && sites[0]!.tensors.has(meanOf(name));
      if (!isPaired) return [name, Float32Array.from(average)];
      const means = (tensors: Site['tensors']) => tensors.get(meanOf(name))!;
      const centre = weighted(sites, length, (tensors, i) => means(tensors)[i]!);
      const between = weighted(sites, length, (tensors, i) => (means(tensors)[i]! - centre[i]!) ** 2);
      return [name, Float32Array.from(average, (within, i) => within + between[i]!)];
    }),
  );
}
