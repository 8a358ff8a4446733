/** Values of a grid at places that are computed. */

import { range } from '../onnx/range.js';
import { GraphError, knownShape, sizeOf, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** What a place takes along one axis: whole indices, and how much each counts. */
interface Tap {
  readonly index: Value;
  readonly weight: Value | null;
}

/** x thrown back into [low, high] as often as needed. */
function reflected({ f }: StandardNode, x: Value, low: number, high: number): Value {
  const span = high - low;
  if (span <= 0) return f.mul(x, 0);
  const away = f.abs(f.sub(x, low));
  const times = f.floor(f.div(away, span));
  const rest = f.sub(away, f.mul(times, span));
  const isOdd = f.greater(f.sub(times, f.mul(f.floor(f.div(times, 2)), 2)), 0.5);
  return f.where(isOdd, f.sub(high, rest), f.add(rest, low));
}

/** The taps of Keys' cubic convolution with a = −¾, for the distances 1 + t, t, 1 − t and 2 − t. */
function cubicWeights({ f }: StandardNode, t: Value): Value[] {
  const a = -0.75;
  const near = (d: Value) => f.add(f.mul(f.sub(f.mul(d, a + 2), a + 3), f.mul(d, d)), 1);
  const far = (d: Value) => f.mul(f.sub(f.mul(f.add(f.mul(f.sub(d, 5), d), 8), d), 4), a);
  return [far(f.add(t, 1)), near(t), near(f.sub(1, t)), far(f.sub(2, t))];
}

function gridSample(n: StandardNode): Value {
  const { f, g } = n;
  const [batch, channels, ...sizes] = n.shape(0) as [number, number, ...number[]];
  const to = n.shape(1).slice(1, -1);
  const rank = sizes.length;
  const count = sizeOf(to);
  const align = n.int('align_corners', 0) === 1;
  const mode = n.string('mode', 'linear').replace(/^bi/, '');
  const padding = n.string('padding_mode', 'zeros');
  if (!['linear', 'nearest', 'cubic'].includes(mode)) throw new GraphError(`mode "${mode}" is unknown`);

  /** Back inside, for the paddings that have an inside. */
  const inside = (x: Value, size: number): Value => {
    if (padding === 'border') return f.clip(x, 0, size - 1);
    if (padding === 'reflection')
      return align ? reflected(n, x, 0, size - 1) : reflected(n, x, -0.5, size - 0.5);
    return x;
  };
  const taps = sizes.map((size, axis): Tap[] => {
    // The grid names the last axis first.
    const column = g.slice(n.input(1), [rank - 1 - axis], [rank - axis], [rank + 1]);
    const place = g.reshape(column, [batch, 1, count]);
    const unit = f.add(place, 1);
    const x = align ? f.mul(unit, (size - 1) / 2) : f.sub(f.mul(unit, size / 2), 0.5);
    const tap = (index: Value, weight: Value | null): Tap => {
      const valid = f.clip(index, 0, size - 1);
      const outside = padding === 'zeros' ? f.where(f.equal(valid, index), g.scalar(1, index.type), 0) : null;
      return { index: valid, weight: outside && weight ? f.mul(weight, outside) : (outside ?? weight) };
    };
    if (mode === 'nearest') return [tap(inside(g.add('Round', [x]), size), null)];
    if (mode === 'cubic') {
      const low = f.floor(x);
      return cubicWeights(n, f.sub(x, low)).map((weight, i) => tap(inside(f.add(low, i - 1), size), weight));
    }
    const kept = inside(x, size);
    const low = f.floor(kept);
    const part = f.sub(kept, low);
    return [tap(low, f.sub(1, part)), tap(f.add(low, 1), part)];
  });

  const source = g.reshape(n.input(0), [batch, channels, sizeOf(sizes)]);
  const combined = taps.reduce<Tap[]>(
    (rows, along, axis) =>
      rows.flatMap((row) =>
        along.map(({ index, weight }) => ({
          index: axis === 0 ? index : f.add(f.mul(row.index, sizes[axis]!), index),
          weight: row.weight && weight ? f.mul(row.weight, weight) : (row.weight ?? weight),
        })),
      ),
    [{ index: source, weight: null }],
  );
  const terms = combined.map(({ index, weight }) => {
    const whole = g.add('Cast', [index], { to: 7 });
    const everywhere = g.add('Expand', [whole, g.integers([batch, channels, count])]);
    const values = g.add('GatherElements', [source, everywhere], { axis: 2 });
    return weight ? f.mul(values, weight) : values;
  });
  return g.reshape(terms.reduce(f.add), [batch, channels, ...to]);
}

/** Centres of `size` cells, or evenly spaced points from −1 to 1. */
const positions = (size: number, align: boolean): number[] =>
  range(size).map((i) => (align ? (size === 1 ? 0 : -1 + (2 * i) / (size - 1)) : (2 * i + 1) / size - 1));

function affineGrid(n: StandardNode): Value {
  const { g } = n;
  const [batch, , ...sizes] = n.numbers(1) as [number, number, ...number[]];
  const rank = sizes.length;
  const along = sizes.map((size) => positions(size, n.int('align_corners', 0) === 1));
  const rows = along.reduce<number[][]>(
    (all, axis) => all.flatMap((row) => axis.map((p) => [p, ...row])),
    [[]],
  );
  const points = g.floats(
    rows.flatMap((row) => [...row, 1]),
    [rows.length, rank + 1],
    n.input(0).type as 'float32',
  );
  const moved = g.add('MatMul', [points, g.transpose(n.input(0), [0, 2, 1])]);
  return g.reshape(moved, [batch, ...sizes, rank]);
}

/** Values of `update` written into a cache, along one axis, from a place on that each item of the batch has. */
function tensorScatter(n: StandardNode): Value {
  const { g } = n;
  const axis = n.axis('axis', -2);
  const size = n.shape(0)[axis]!;
  const shape = knownShape(n.input(1).shape, 'TensorScatter');
  const starts = n.constants(2) ?? shape.map(() => 0);
  const circular = n.string('mode', 'linear') === 'circular';
  const places = range(shape[0]!).flatMap((b) =>
    range(shape[axis]!).map((t) => (circular ? (starts[b]! + t) % size : starts[b]! + t)),
  );
  const along = g.reshape(
    g.integers(places),
    shape.map((d, i) => (i === 0 || i === axis ? d : 1)),
  );
  const indices = g.add('Expand', [along, g.integers(shape)]);
  return g.add('ScatterElements', [n.input(0), indices, n.input(1)], { axis });
}

export const sampling: Translations = {
  GridSample: gridSample,
  AffineGrid: affineGrid,
  TensorScatter: tensorScatter,
};
