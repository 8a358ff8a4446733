import type { PartFeatures } from '../../src/analysis/features.js';
import { randomStream } from '../../src/random.js';

/** Random clusters, one a whole: `spread` is the distance of a part from its whole's centre. */
export function clusters(
  wholes: number,
  partsPerWhole: number,
  dimensions: number,
  spread: number,
): PartFeatures {
  const random = randomStream(7, 'clusters');
  const values = new Float32Array(wholes * partsPerWhole * dimensions);
  for (let whole = 0; whole < wholes; whole++) {
    const centre = Array.from({ length: dimensions }, () => random.normal());
    const start = whole * partsPerWhole * dimensions;
    for (let i = 0; i < partsPerWhole * dimensions; i++) {
      values[start + i] = centre[i % dimensions]! + spread * random.normal();
    }
  }
  return { wholes, partsPerWhole, dimensions, values };
}

/** The same vector for all parts of a whole. */
export function constantWholes(vectors: readonly (readonly number[])[], partsPerWhole: number): PartFeatures {
  const rows = vectors.flatMap((vector) => Array.from({ length: partsPerWhole }, () => vector));
  return {
    wholes: vectors.length,
    partsPerWhole,
    dimensions: vectors[0]!.length,
    values: Float32Array.from(rows.flat()),
  };
}
