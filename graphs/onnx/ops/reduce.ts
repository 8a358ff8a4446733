import { constantOf, int, normalAxis, operator } from '../operator.js';

/** x, axes (constant). With `keepdims` the reduced axes stay, of size 1. */
const reduction = () =>
  operator([2, 2], { keepdims: int(1) }, ([x, axes], { keepdims }) => {
    const gone = new Set(constantOf(axes, 'axes').map((axis) => normalAxis(axis, x!.shape.length)));
    const shape = keepdims
      ? x!.shape.map((d, i) => (gone.has(i) ? 1 : d))
      : x!.shape.filter((_, i) => !gone.has(i));
    return [{ type: x!.type, shape }];
  });

const alongAxis = () =>
  operator([1, 1], { axis: int(-1) }, ([x], { axis }) => {
    normalAxis(axis, x!.shape.length);
    return [x!];
  });

export const reductions = {
  ReduceSum: reduction(),
  ReduceMean: reduction(),
  ReduceMax: reduction(),
  ReduceMin: reduction(),
  ReduceProd: reduction(),
  ReduceLogSumExp: reduction(),
  ReduceSumSquare: reduction(),
  Softmax: alongAxis(),
  LogSoftmax: alongAxis(),
  /** x, axis (constant): sums of all values up to each one; `exclusive` without it, `reverse` from the end. */
  CumSum: operator([2, 2], { exclusive: int(0), reverse: int(0) }, ([x, axis]) => {
    normalAxis(constantOf(axis, 'the axis')[0]!, x!.shape.length);
    return [x!];
  }),
};
