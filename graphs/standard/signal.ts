/** Fourier transforms, as products with constant matrices. */
import { alongAxis, type Matrix } from '../onnx/blocks.js';
import { normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { knownShape, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** Real and imaginary part of the transform along an axis of x […,1 or 2], in the last axis of the result. */
function transform(
  n: StandardNode,
  x: Value,
  axis: number,
  length: number,
  kept: number,
  inverse: boolean,
): Value {
  const { f, g } = n;
  const shape = knownShape(x.shape, 'DFT');
  const last = shape.length - 1;
  const matrix = (part: (angle: number) => number): Matrix =>
    range(kept).map((k) =>
      range(shape[axis]!).map((j) => {
        const angle = (2 * Math.PI * ((j * k) % length)) / length;
        return j < length ? part(inverse ? angle : -angle) / (inverse ? length : 1) : 0;
      }),
    );
  const [cos, sin] = [matrix(Math.cos), matrix(Math.sin)];
  const by = (part: Value, rows: Matrix) => alongAxis(g, part, rows, axis);
  const parts = g.addMany('Split', [x, g.integers(Array(shape[last]).fill(1))], { axis: last }, shape[last]!);
  const [real, imaginary] = parts as [Value, Value | undefined];
  const results = imaginary
    ? [f.sub(by(real, cos), by(imaginary, sin)), f.add(by(real, sin), by(imaginary, cos))]
    : [by(real, cos), by(real, sin)];
  return g.add('Concat', results, { axis: last });
}

const half = (length: number, onesided: boolean) => (onesided ? Math.floor(length / 2) + 1 : length);

/** The real signal whose transform x [..,bins,..,2] begins with: the bins that are missing mirror those that are there. */
function realInverse(n: StandardNode, axis: number, length: number): Value {
  const { f, g } = n;
  const shape = n.shape(0);
  const last = shape.length - 1;
  const matrix = (part: (angle: number) => number): Matrix =>
    range(length).map((j) =>
      range(shape[axis]!).map((k) => {
        const twice = k > 0 && 2 * k < length ? 2 : 1;
        return (twice * part((2 * Math.PI * ((j * k) % length)) / length)) / length;
      }),
    );
  const parts = g.addMany('Split', [n.input(0), g.integers([1, 1])], { axis: last }, 2) as [Value, Value];
  return f.sub(
    alongAxis(g, parts[0], matrix(Math.cos), axis),
    alongAxis(g, parts[1], matrix(Math.sin), axis),
  );
}

export const signal: Translations = {
  DFT: (n) => {
    const rank = n.shape(0).length;
    const axis = normalAxis(n.opset < 20 ? n.int('axis', 1) : (n.constants(2)?.[0] ?? -2), rank);
    const [given, size] = [n.constants(1)?.[0], n.shape(0)[axis]!];
    const [onesided, inverse] = [n.int('onesided', 0) === 1, n.int('inverse', 0) === 1];
    if (onesided && inverse) return realInverse(n, axis, given ?? 2 * (size - 1));
    const length = given ?? size;
    return transform(n, n.input(0), axis, length, half(length, onesided), inverse);
  },
  STFT: (n) => {
    const { f, g } = n;
    const [batch, samples, parts = 1] = n.shape(0) as [number, number, number?];
    const step = n.numbers(1)[0]!;
    const window = n.optional(2);
    const length = n.constants(3)?.[0] ?? n.shape(2)[0]!;
    const count = Math.floor((samples - length) / step) + 1;
    const places = range(count).flatMap((i) => range(length).map((j) => i * step + j));
    const signals = g.reshape(n.input(0), [batch, samples, parts]);
    const frames = g.reshape(g.add('Gather', [signals, g.integers(places)], { axis: 1 }), [
      batch,
      count,
      length,
      parts,
    ]);
    const seen = window ? f.mul(frames, g.reshape(window, [length, 1])) : frames;
    return transform(n, seen, 2, length, half(length, n.int('onesided', 1) === 1), false);
  },
};
