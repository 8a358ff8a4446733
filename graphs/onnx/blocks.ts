import type { GraphBuilder } from './builder.js';
import { type FloatType, knownShape, sizeOf, TYPE_CODES, type Value } from './types.js';

/** Values of any type as the graph's floats. */
export const asFloat = (g: GraphBuilder, x: Value): Value =>
  x.type === g.float ? x : g.add('Cast', [x], { to: TYPE_CODES[g.float] });

/** Every value repeated `factors` times along the spatial axes. */
export const upsampleNearest = (g: GraphBuilder, x: Value, factors: readonly number[]) => {
  const scales = g.constant({
    type: 'float32',
    shape: [factors.length + 2],
    data: Float32Array.of(1, 1, ...factors),
  });
  return g.add('Resize', [x, null, scales], {
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
};

/**
 * The same by joining: ONNX Runtime's `Resize` takes ten times as long on a CPU. Values side by side along the last axis come
 * from a transposition, those along the others from repeating rows and planes.
 */
export function repeatVoxels(g: GraphBuilder, x: Value, factors: readonly number[]): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'repeating') as [number, number, ...number[]];
  const times = (rows: Value, factor: number) =>
    g.add('Concat', new Array<Value>(factor).fill(rows), { axis: 1 });
  const copies = times(g.reshape(x, [n * c, 1, sizeOf(sizes)]), factors.at(-1)!);
  const lengths = sizes.map((size, i) => size * factors[i]!);
  const outer = sizes.slice(0, -1);
  const whole = outer.reduceRight(
    (repeating, _, axis) => {
      const rows = n * c * sizeOf(sizes.slice(0, axis + 1));
      return times(g.reshape(repeating, [rows, sizeOf(lengths.slice(axis + 1))]), factors[axis]!);
    },
    g.transpose(copies, [0, 2, 1]),
  );
  return g.reshape(whole, [n, c, ...lengths]);
}

/** Sums over blocks of `factors` along the spatial axes: the transpose of {@link upsampleNearest}. */
export function sumPool(g: GraphBuilder, x: Value, factors: readonly number[]): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'a sum over blocks');
  const split = sizes.flatMap((size, i) => [size / factors[i]!, factors[i]!]);
  return g.sum(
    g.reshape(x, [n!, c!, ...split]),
    sizes.map((_, i) => 3 + 2 * i),
    0,
  );
}

/** Weights [K,C/group,…] with channels in each other's place within each group: [C,K/group,…]. */
export function exchanged(g: GraphBuilder, w: Value, group = 1): Value {
  const [k, perGroup, ...kernel] = knownShape(w.shape, 'weights') as [number, number, ...number[]];
  if (group === 1) return g.transpose(w, [1, 0, ...kernel.map((_, i) => i + 2)]);
  const grouped = g.reshape(w, [group, k / group, perGroup, ...kernel]);
  const order = [0, 2, 1, ...kernel.map((_, i) => i + 3)];
  return g.reshape(g.transpose(grouped, order), [group * perGroup, k / group, ...kernel]);
}

/** x [N,C,…] with zeros around its spatial axes. @param pads as of a convolution: before every axis, then behind every axis */
export function padded(g: GraphBuilder, x: Value, pads: readonly number[]): Value {
  const rank = pads.length / 2;
  if (pads.every((p) => p === 0)) return x;
  return g.add('Pad', [x, g.integers([0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])]);
}

/** x [N,C,…] with all spatial axes reversed, which is reversing their values in memory. */
export function reversed(g: GraphBuilder, x: Value): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'reversing') as [number, number, ...number[]];
  const count = sizeOf(sizes);
  if (count === 1) return x;
  const back = g.slice(g.reshape(x, [n, c, count]), [-1], [-count - 1], [2], [-1]);
  return g.reshape(back, [n, c, ...sizes]);
}

/** A matrix as rows. */
export type Matrix = readonly (readonly number[])[];

/** The product of a constant matrix [to,from] with x along one axis, whose size `from` becomes `to`. */
export function alongAxis(g: GraphBuilder, x: Value, matrix: Matrix, axis: number): Value {
  const shape = knownShape(x.shape, 'a product along an axis');
  const [to, from] = [matrix.length, shape[axis]!];
  const constant = g.floats(matrix.flat(), [to, from], x.type as FloatType);
  const columns = g.reshape(x, [sizeOf(shape.slice(0, axis)), from, sizeOf(shape.slice(axis + 1))]);
  return g.reshape(
    g.add('MatMul', [constant, columns]),
    shape.map((size, i) => (i === axis ? to : size)),
  );
}
