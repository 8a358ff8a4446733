/**
 * Random numbers, made in the graph by a counter-based generator: the seed, the layer and the place of a value decide what it is,
 * so that a run can be repeated exactly, on any engine. All numbers that they are made of are integers below 2^62.
 */
import { arithmetic } from '../onnx/arithmetic.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { knownShape, sizeOf, TYPE_CODES, type Value } from '../onnx/types.js';

/** The largest prime below 2^30: the square of a sum of two rests fits in an int64. */
const PRIME = 1073741789;
const [FACTOR, STEP] = [16807, 40692];

/** Rests by {@link PRIME}, well mixed: the result is far away for arguments that are neighbours. */
function mixer(g: GraphBuilder) {
  const f = arithmetic(g);
  const rest = (x: Value) => g.add('Mod', [x, g.scalar(PRIME, 'int64')]);
  const mix = (x: Value): Value => rest(f.add(f.mul(x, x), STEP));
  /** The places of an axis, each with a number of its own. */
  const numbers = (shape: readonly number[], key: Value): Value => {
    const places = g.reshape(
      g.integers([...Array(sizeOf(shape)).keys()].map((i) => (i + 1) * FACTOR)),
      shape,
    );
    return mix(mix(rest(f.add(places, key))));
  };
  return { f, rest, mix, numbers };
}

/**
 * Integers from 0 up to {@link PRIME}, all of the same probability.
 * @param seed an int64 scalar, not negative
 * @param layer tells numbers of one step apart
 */
function drawn(g: GraphBuilder, seed: Value, layer: number, shape: readonly number[]): Value {
  const { f, rest, mix, numbers } = mixer(g);
  const columns = shape.at(-1) ?? 1;
  const rows = sizeOf(shape) / columns;
  const start = mix(mix(rest(f.add(f.mul(rest(seed), FACTOR), (layer + 1) * STEP))));
  const [row, column] = [numbers([rows, 1], start), numbers([1, columns], mix(start))];
  return g.reshape(mix(mix(rest(f.add(row, column)))), shape);
}

/** Where values stay: a bool of `shape`, true with the probability 1 − ratio. */
export const dropoutMask = (
  g: GraphBuilder,
  seed: Value,
  layer: number,
  shape: readonly number[],
  ratio: number,
): Value =>
  g.add('GreaterOrEqual', [drawn(g, seed, layer, shape), g.scalar(Math.round(ratio * PRIME), 'int64')]);

/** Floats above 0, up to 1, evenly spread. */
function shares(g: GraphBuilder, seed: Value, layer: number, shape: readonly number[]): Value {
  const f = arithmetic(g);
  const above = f.add(drawn(g, seed, layer, shape), 1);
  return f.mul(g.add('Cast', [above], { to: TYPE_CODES[g.float] }), 1 / PRIME);
}

/** Floats from `low` to `high`, evenly spread. */
export function uniformNumbers(
  g: GraphBuilder,
  seed: Value,
  layer: number,
  shape: readonly number[],
  { low, high }: { readonly low: number; readonly high: number },
): Value {
  const f = arithmetic(g);
  return f.add(f.mul(shares(g, seed, layer, shape), high - low), low);
}

/** Floats of a normal distribution, by the transform of Box and Muller. They are of two layers. */
export function normalNumbers(
  g: GraphBuilder,
  seed: Value,
  layer: number,
  shape: readonly number[],
  { mean, scale }: { readonly mean: number; readonly scale: number },
): Value {
  const f = arithmetic(g);
  const radius = f.sqrt(f.mul(f.log(shares(g, seed, layer, shape)), -2));
  const angle = f.mul(shares(g, seed, layer + 1, shape), 2 * Math.PI);
  return f.add(f.mul(f.mul(radius, g.add('Cos', [angle])), scale), mean);
}

/** x where the mask says so, larger by what is missing elsewhere, and zeros. */
export function dropout(
  g: GraphBuilder,
  x: Value,
  seed: Value,
  layer: number,
  ratio: number,
): readonly Value[] {
  const stays = dropoutMask(g, seed, layer, knownShape(x.shape, 'Dropout'), ratio);
  const factor = g.add('Mul', [
    g.add('Cast', [stays], { to: TYPE_CODES[x.type] }),
    g.scalar(1 / (1 - ratio), x.type),
  ]);
  return [g.add('Mul', [x, factor]), stays];
}
