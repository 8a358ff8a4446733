import { normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { sizeOf, type Value } from '../onnx/types.js';
import type { StandardNode, Translation, Translations } from './node.js';

type Reduction =
  | 'ReduceSum'
  | 'ReduceMean'
  | 'ReduceMax'
  | 'ReduceMin'
  | 'ReduceProd'
  | 'ReduceSumSquare'
  | 'ReduceLogSumExp';

/** Axes as attribute or input; none given are all, or none at all where the node says so. */
function reducing(
  build: (n: StandardNode, reduce: (operator: Reduction, x: Value) => Value) => Value,
): Translation {
  return (n) => {
    const given = n.list('axes', 1) ?? [];
    const isIdle = n.int('noop_with_empty_axes', 0) === 1;
    const axes = given.length === 0 && !isIdle ? range(n.shape(0).length) : given;
    const keepdims = n.int('keepdims', 1);
    return build(n, (operator, x) => {
      if (axes.length > 0) return n.g.add(operator, [x, n.g.integers(axes)], { keepdims });
      return operator === 'ReduceSumSquare' ? n.f.mul(x, x) : x;
    });
  };
}
const plain = (operator: Reduction) => reducing((n, reduce) => reduce(operator, n.input(0)));

/** Softmax up to version 12 goes over all axes from one on. */
const softmax =
  (operator: 'Softmax' | 'LogSoftmax'): Translation =>
  (n) => {
    if (n.opset >= 13) return n.g.add(operator, [n.input(0)], { axis: n.int('axis', -1) });
    const shape = n.shape(0);
    const rows = sizeOf(shape.slice(0, n.axis('axis', 1)));
    return n.g.reshape(n.g.add(operator, [n.g.reshape(n.input(0), [rows, -1])], { axis: 1 }), shape);
  };

export const reductions: Translations = {
  ReduceSum: plain('ReduceSum'),
  ReduceMean: plain('ReduceMean'),
  ReduceMax: plain('ReduceMax'),
  ReduceMin: plain('ReduceMin'),
  ReduceProd: plain('ReduceProd'),
  ReduceSumSquare: plain('ReduceSumSquare'),
  ReduceLogSumExp: plain('ReduceLogSumExp'),
  ReduceL1: reducing((n, reduce) => reduce('ReduceSum', n.f.abs(n.input(0)))),
  ReduceL2: reducing((n, reduce) => n.f.root(reduce('ReduceSumSquare', n.input(0)), 2)),
  ReduceLogSum: reducing((n, reduce) => n.f.log(reduce('ReduceSum', n.input(0)))),
  Softmax: softmax('Softmax'),
  LogSoftmax: softmax('LogSoftmax'),
  Hardmax: (n) => {
    const shape = n.opset >= 13 ? n.shape(0) : [sizeOf(n.shape(0).slice(0, n.axis('axis', 1))), -1];
    const x = n.g.reshape(n.input(0), shape);
    const axis = n.opset >= 13 ? n.axis('axis', -1) : 1;
    const size = x.shape[axis] as number;
    const [, first] = n.g.addMany('TopK', [x, n.g.integers([1])], { axis }, 2);
    const along = x.shape.map((_, i) => (i === axis ? size : 1));
    const positions = n.g.reshape(n.g.integers(range(size)), along);
    return n.g.reshape(n.f.where(n.f.equal(positions, first!), n.g.scalar(1, x.type), 0), n.shape(0));
  },
  CumProd: (n) => {
    const shape = n.shape(0);
    const axis = normalAxis(n.numbers(1)[0]!, shape.length);
    const [exclusive, reverse] = [n.int('exclusive', 0), n.int('reverse', 0)];
    const rest = sizeOf(shape.slice(axis + 1));
    const size = shape[axis]!;
    // Each value once for every result that it counts for, 1 in its place for the others.
    const counts = n.g.mask([1, size, size, 1], (i) => {
      const before = Math.floor(i / size) - (i % size);
      return (reverse ? -before : before) >= exclusive;
    });
    const rows = n.g.reshape(n.input(0), [sizeOf(shape.slice(0, axis)), 1, size, rest]);
    const factors = n.f.where(counts, rows, 1);
    return n.g.reshape(n.g.add('ReduceProd', [factors, n.g.integers([2])], { keepdims: 0 }), shape);
  },
};
