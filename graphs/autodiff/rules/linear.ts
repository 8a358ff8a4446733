import type { GraphBuilder } from '../../onnx/builder.js';
import type { linear } from '../../onnx/ops/linear.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import { noGradient, type Rules } from '../rule.js';

/** Swaps the last two axes. */
const flip = (g: GraphBuilder, x: Value) => {
  const last = x.shape.length - 1;
  return g.transpose(
    x,
    x.shape.map((_, i) => (i === last ? last - 1 : i === last - 1 ? last : i)),
  );
};

const elements = (x: Value) => sizeOf(knownShape(x.shape, 'a gradient'));

/** Whether it takes more to transpose x than both others. */
const isLarger = (x: Value, y: Value, z: Value) => elements(x) > elements(y) + elements(z);

/** All rows of all matrices as one matrix. */
const rowsOf = (g: GraphBuilder, x: Value) => g.reshape(x, [-1, x.shape.at(-1) as number]);

export const linearRules: Rules<keyof typeof linear> = {
  MatMul: ({ g, inputs: [a, b], dy }) =>
    b!.shape.length === 2
      ? [
          () => {
            const rows = g.add('Gemm', [rowsOf(g, dy), b!], { transB: 1 });
            return g.reshape(rows, knownShape(a!.shape, 'a gradient'));
          },
          // Every matrix of a meets the same b, so that the sum over them is one product.
          () => g.add('Gemm', [rowsOf(g, a!), rowsOf(g, dy)], { transA: 1 }),
        ]
      : [
          () =>
            isLarger(b!, dy, a!)
              ? flip(g, g.add('MatMul', [b!, flip(g, dy)]))
              : g.add('MatMul', [dy, flip(g, b!)]),
          () =>
            isLarger(a!, dy, b!)
              ? flip(g, g.add('MatMul', [flip(g, dy), a!]))
              : g.add('MatMul', [flip(g, a!), dy]),
        ],
  Gemm: ({ g, inputs: [a, b], attributes: { alpha, beta, transA, transB }, dy }) => [
    () =>
      transA
        ? g.add('Gemm', [b!, dy], { alpha, transA: transB, transB: 1 })
        : g.add('Gemm', [dy, b!], { alpha, transB: 1 - transB }),
    () =>
      transB
        ? g.add('Gemm', [dy, a!], { alpha, transA: 1, transB: transA })
        : g.add('Gemm', [a!, dy], { alpha, transA: 1 - transA }),
    () => (beta === 1 ? dy : g.add('Mul', [dy, g.scalar(beta, dy.type)])),
  ],
  // dy takes the place of an input; axes that only that input has are repeated by a factor of ones.
  Einsum: ({ g, inputs, attributes: { equation }, dy }) => {
    const [terms, result] = equation.split('->') as [string, string];
    const labels = terms.split(',');
    return inputs.map((x, i) => () => {
      const others = labels.filter((_, j) => j !== i);
      const lost = [...labels[i]!].filter(
        (label) => ![result, ...others].some((term) => term.includes(label)),
      );
      const operands = [dy, ...inputs.filter((_, j) => j !== i)];
      const parts = [result, ...others];
      if (lost.length > 0) {
        const sizes = lost.map((label) => x.shape[labels[i]!.indexOf(label)] as number);
        operands.push(g.full(1, sizes, dy.type));
        parts.push(lost.join(''));
      }
      return g.add('Einsum', operands, { equation: `${parts.join()}->${labels[i]}` });
    });
  },
  FusedMatMul: noGradient('it is made by lowering, after differentiation'),
};
