import { knownShape, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** An operand that names an axis twice as its diagonal, which names it once. */
function namedOnce(n: StandardNode, operand: Value, term: string): [operand: Value, term: string] {
  const second = [...term].findIndex((label, at) => term.indexOf(label) < at);
  if (second < 0) return [operand, term];
  const first = term.indexOf(term[second]!);
  const shape = knownShape(operand.shape, 'Einsum');
  const size = shape[first]!;
  const along = shape.map((_, axis) => (axis === first || axis === second ? size : 1));
  const isDiagonal = n.g.mask(along, (i) => i % (size + 1) === 0);
  // All else is zero, so that one of the two axes can be summed up.
  const diagonal = n.g.sum(n.f.where(isDiagonal, operand, 0), [second], 0);
  return namedOnce(n, diagonal, term.slice(0, second) + term.slice(second + 1));
}

/** An operand whose axes behind an ellipsis are as long as those of the others, where its own have the size 1. */
function broadcast(n: StandardNode, index: number, hidden: readonly number[], at: readonly number[]): Value {
  const operand = n.input(index);
  const shape = n.shape(index);
  const longest = (fromRight: number) =>
    Math.max(
      ...hidden.map((count, i) => (fromRight < count ? n.shape(i)[at[i]! + count - 1 - fromRight]! : 1)),
    );
  const own = hidden[index]!;
  const wanted = shape.map((size, axis) => {
    const place = axis - at[index]!;
    return place >= 0 && place < own && size === 1 ? longest(own - 1 - place) : size;
  });
  const isLonger = wanted.some((size, axis) => size !== shape[axis]);
  return isLonger ? n.g.add('Expand', [operand, n.g.integers(wanted)]) : operand;
}

const LABELS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'];

/** With an equation without spaces, ellipses and repeated axes, and the result written out. */
function einsum(n: StandardNode): Value {
  const [left = '', right] = n.string('equation', '').replaceAll(' ', '').split('->');
  const written = left.split(',');
  // What an ellipsis stands for, counted from the right.
  const hidden = written.map((term, i) => (term.includes('...') ? n.shape(i).length - (term.length - 3) : 0));
  const at = written.map((term) => term.indexOf('...'));
  const most = Math.max(...hidden);
  const ellipsis = LABELS.filter((label) => !left.includes(label))
    .slice(0, most)
    .join('');
  const once = [...new Set(left.replaceAll(/[.,]/g, ''))].filter((label) => left.split(label).length === 2);
  const result = right === undefined ? ellipsis + once.sort().join('') : right.replace('...', ellipsis);
  const operands = written.map((term, i) =>
    namedOnce(n, broadcast(n, i, hidden, at), term.replace('...', ellipsis.slice(most - hidden[i]!))),
  );
  return n.g.add(
    'Einsum',
    operands.map(([operand]) => operand),
    { equation: `${operands.map(([, term]) => term).join()}->${result}` },
  );
}

export const linear: Translations = {
  Einsum: einsum,
  MatMul: (n) => {
    const { g } = n;
    const [a, b] = [n.input(0), n.input(1)];
    const shape = (x: Value) => knownShape(x.shape, 'MatMul');
    // A vector is a row at the left, a column at the right, and the axis goes away again.
    const left = a.shape.length === 1 ? g.reshape(a, [1, ...shape(a)]) : a;
    const right = b.shape.length === 1 ? g.reshape(b, [...shape(b), 1]) : b;
    const product = g.add('MatMul', [left, right]);
    if (left === a && right === b) return product;
    const sizes = shape(product);
    const rank = sizes.length;
    return g.reshape(
      product,
      sizes.filter((_, i) => !(left !== a && i === rank - 2) && !(right !== b && i === rank - 1)),
    );
  },
};
