import { broadcast, float, type InferInput, int, operator, requiredString, sameType } from '../operator.js';
import { type Dim, formatShape, GraphError } from '../types.js';

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
  /** Sums of products over the axes that the equation, such as `bij,bjk->bik`, does not keep; no ellipsis, no axis twice. */
  Einsum: operator([1, Number.POSITIVE_INFINITY], { equation: requiredString }, (inputs, { equation }) => {
    const [terms, result] = equation.split('->') as [string, string | undefined];
    const labels = terms.split(',');
    if (result === undefined || /[^a-zA-Z,]/.test(terms + result) || labels.length !== inputs.length)
      throw new GraphError(`the equation "${equation}" does not suit ${inputs.length} inputs`);
    const sizes = new Map<string, Dim>();
    for (const [i, term] of labels.entries()) {
      const { shape } = inputs[i]!;
      if (term.length !== shape.length || new Set(term).size !== term.length)
        throw new GraphError(`"${term}" does not name each axis of ${formatShape(shape)} once`);
      for (const [axis, label] of [...term].entries()) {
        if ((sizes.get(label) ?? shape[axis]) !== shape[axis])
          throw new GraphError(`axis "${label}" has the sizes ${sizes.get(label)} and ${shape[axis]}`);
        sizes.set(label, shape[axis]!);
      }
    }
    const shape = [...result].map((label) => {
      const size = sizes.get(label);
      if (size === undefined) throw new GraphError(`no input has the axis "${label}"`);
      return size;
    });
    return [{ type: sameType(inputs), shape }];
  }),
  /** ONNX Runtime's product of (transposed) matrices; its optimiser makes the same from Transpose + MatMul. */
  FusedMatMul: operator(
    [2, 2],
    { alpha: float(1), transA: int(0), transB: int(0) },
    ([a, b], { transA, transB }) => product(a!, b!, transA, transB),
    'com.microsoft',
  ),
};
