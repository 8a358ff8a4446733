/**
 * The phases of a feature map: its voxels whose indices have the same remainders by the strides. Strided operators meet them one by
 * one.
 *
 * ONNX Runtime transposes value by value, unless one axis moves alone or whole rows stay together: two such transpositions take a
 * fifth of the time of one that does both.
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { range } from '../../onnx/range.js';
import { knownShape, type Value } from '../../onnx/types.js';

/** [N,C,count·stride,…] → [N,C,stride,…,count,…]; sizes are multiples of the strides. */
export function phasesOf(g: GraphBuilder, x: Value, strides: readonly number[]): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'phases');
  const rank = sizes.length;
  const counts = sizes.map((size, i) => size / strides[i]!);
  const outer = range(rank - 1);
  const apart = g.reshape(x, [n!, c!, ...outer.flatMap((i) => [counts[i]!, strides[i]!]), sizes.at(-1)!]);
  const rows = g.transpose(apart, [
    ...[0, 1],
    ...outer.map((i) => 2 * i + 3),
    ...outer.map((i) => 2 * i + 2),
    2 * rank,
  ]);
  const split = g.reshape(rows, [
    ...[n!, c!],
    ...strides.slice(0, -1),
    ...counts.slice(0, -1),
    ...[counts.at(-1)!, strides.at(-1)!],
  ]);
  return g.transpose(split, [...range(rank + 1), 2 * rank + 1, ...range(rank, rank + 1)]);
}

/** [N,C,stride,…,count,…] → [N,C,count·stride,…]: undoes {@link phasesOf}. */
export function interleaved(g: GraphBuilder, phases: Value): Value {
  const [n, c, ...sizes] = knownShape(phases.shape, 'phases');
  const rank = sizes.length / 2;
  const [strides, counts] = [sizes.slice(0, rank), sizes.slice(rank)];
  const lengths = counts.map((count, i) => count * strides[i]!);
  const outer = range(rank - 1);
  const split = g.transpose(phases, [...range(rank + 1), ...range(rank, rank + 2), rank + 1]);
  const rows = g.reshape(split, [
    ...[n!, c!],
    ...strides.slice(0, -1),
    ...counts.slice(0, -1),
    lengths.at(-1)!,
  ]);
  const together = g.transpose(rows, [0, 1, ...outer.flatMap((i) => [rank + 1 + i, i + 2]), 2 * rank]);
  return g.reshape(together, [n!, c!, ...lengths]);
}
