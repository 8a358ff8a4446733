import { broadcast, float, type InferInput, int, operator, sameType } from '../operator.js';
import { formatShape, GraphError } from '../types.js';

/** [..., m, k] × [..., k, n] → [..., m, n]; leading axes broadcast. */
function product(a: InferInput, b: InferInput, transA = 0, transB = 0) {
  if (a.shape.length < 2 || b.shape.length < 2)
    throw new GraphError(
      `needs at least two axes each, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
    );
  const [m, k] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [l, n] = transB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  if (k !== l)
    throw new GraphError(`inner sizes of ${formatShape(a.shape)} and ${formatShape(b.shape)} differ`);
  return [
    { type: sameType([a, b]), shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n] },
  ];
}

export const linear = {
  MatMul: operator([2, 2], {}, ([a, b]) => product(a!, b!)),
  /** alpha·A′·B′ + beta·C on matrices, A′ and B′ transposed where asked for. */
  Gemm: operator(
    [2, 3],
    { alpha: float(1), beta: float(1), transA: int(0), transB: int(0) },
    ([a, b], { transA, transB }) => product(a!, b!, transA, transB),
  ),
  /** ONNX Runtime's product of (transposed) matrices; its optimiser makes the same from Transpose + MatMul. */
  FusedMatMul: operator(
    [2, 2],
    { alpha: float(1), transA: int(0), transB: int(0) },
    ([a, b], { transA, transB }) => product(a!, b!, transA, transB),
    'com.microsoft',
  ),
};
