import type { XYZ } from '../data/scan/volume.js';

/**
 * Squared distance in mm² of every voxel to the nearest marked one, exact: Felzenszwalb and Huttenlocher's lower
 * envelopes of parabolas (Theory of Computing 8, 2012), axis by axis, in time proportional to the voxels.
 * @param marked not 0 where marked, x fastest
 * @param spacing mm along x, y, z
 * @returns infinity everywhere when nothing is marked
 */
export function squaredDistances(marked: Uint8Array, size: XYZ, spacing: XYZ): Float64Array {
  const [width, height, depth] = size;
  const slice = width * height;
  const distances = new Float64Array(marked.length);
  for (let start = 0; start < marked.length; start += width) {
    sweepRow(marked, distances, start, width, spacing[0]);
  }
  const alongY = lineTransform(height, width, spacing[1]);
  for (let z = 0; z < depth; z++) {
    for (let x = 0; x < width; x++) alongY(distances, z * slice + x);
  }
  const alongZ = lineTransform(depth, slice, spacing[2]);
  for (let start = 0; start < slice; start++) alongZ(distances, start);
  return distances;
}

/** The first axis, where all is 0 or infinite: one sweep to the right and one back. */
function sweepRow(marked: Uint8Array, out: Float64Array, start: number, length: number, mm: number): void {
  let steps = Number.POSITIVE_INFINITY;
  for (let i = start; i < start + length; i++) {
    steps = marked[i] === 0 ? steps + 1 : 0;
    out[i] = steps;
  }
  steps = Number.POSITIVE_INFINITY;
  for (let i = start + length - 1; i >= start; i--) {
    steps = marked[i] === 0 ? steps + 1 : 0;
    out[i] = (Math.min(out[i]!, steps) * mm) ** 2;
  }
}

/** A function that replaces f(q), along a line, by min over v of f(v) + ((q − v) · mm)². */
function lineTransform(length: number, stride: number, mm: number) {
  const values = new Float64Array(length);
  /** Places of the parabolas of the envelope, and where each begins to be the lowest. */
  const vertices = new Uint32Array(length);
  const begins = new Float64Array(length);
  const square = mm * mm;
  return (field: Float64Array, start: number): void => {
    let last = -1;
    for (let q = 0; q < length; q++) {
      const value = field[start + q * stride]!;
      values[q] = value;
      if (value === Number.POSITIVE_INFINITY) continue;
      let begin = Number.NEGATIVE_INFINITY;
      for (; last >= 0; last--) {
        const v = vertices[last]!;
        begin = ((value - values[v]!) / (square * (q - v)) + q + v) / 2;
        if (begin > begins[last]!) break;
      }
      last++;
      vertices[last] = q;
      begins[last] = last === 0 ? Number.NEGATIVE_INFINITY : begin;
    }
    if (last < 0) return;
    for (let q = 0, k = 0; q < length; q++) {
      while (k < last && begins[k + 1]! < q) k++;
      const v = vertices[k]!;
      field[start + q * stride] = ((q - v) * mm) ** 2 + values[v]!;
    }
  };
}
