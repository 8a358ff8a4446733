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
