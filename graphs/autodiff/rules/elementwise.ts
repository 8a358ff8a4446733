import type { GraphBuilder } from '../../onnx/builder.js';
import type { elementwise } from '../../onnx/ops/elementwise.js';
import { TYPE_CODES, type Value } from '../../onnx/types.js';
import { noGradient, type Rule, type Rules } from '../rule.js';

const discrete = noGradient('its output is not continuous');
/** Constant between its steps. */
const steps: Rule<'Sign' | 'Ceil' | 'Floor' | 'Round'> = ({ g, dy }) => [() => scale(g, dy, 0)];
/** x · c for a number c. */
const scale = (g: GraphBuilder, x: Value, c: number) => g.add('Mul', [x, g.scalar(c, x.type)]);
/** a · x² + c for numbers a, +1 or −1, and c. */
const quadratic = (g: GraphBuilder, x: Value, a: 1 | -1, c: number) => {
  const square = g.add('Mul', [x, x]);
  const constant = g.scalar(c, x.type);
  return a === 1 ? g.add('Add', [square, constant]) : g.add('Sub', [constant, square]);
};
/** 1 where a > b, ½ where equal, 0 elsewhere: how maximum and minimum share a tie. Infinities may be equal too. */
const share = (g: GraphBuilder, a: Value, b: Value) => {
  const [above, beside] = (['Greater', 'GreaterOrEqual'] as const).map((operator) =>
    g.add('Cast', [g.add(operator, [a, b])], { to: TYPE_CODES[a.type] }),
  ) as [Value, Value];
  return scale(g, g.add('Add', [above, beside]), 0.5);
};
/** 0 where x is 0, also if the other values are not finite there; `values` elsewhere. */
const exceptAtZero = (g: GraphBuilder, x: Value, values: Value) =>
  g.add('Where', [g.add('Equal', [x, g.scalar(0, x.type)]), g.scalar(0, values.type), values]);

export const elementwiseRules: Rules<keyof typeof elementwise> = {
  Add: ({ dy }) => [() => dy, () => dy],
  Sub: ({ g, dy }) => [() => dy, () => g.add('Neg', [dy])],
  Mul: ({ g, inputs: [a, b], dy }) => [() => g.add('Mul', [dy, b!]), () => g.add('Mul', [dy, a!])],
  Div: ({ g, inputs: [, b], outputs: [y], dy }) => [
    () => g.add('Div', [dy, b!]),
    () => g.add('Neg', [g.add('Div', [g.add('Mul', [dy, y!]), b!])]),
  ],
  Pow: ({ g, inputs: [a, b], outputs: [y], dy }) => [
    () => {
      const lower = g.add('Pow', [a!, g.add('Sub', [b!, g.scalar(1, b!.type)])]);
      const slope = g.add('Mul', [b!, lower]);
      // x⁰ is 1 everywhere.
      const hasZero = !g.isConstant(b!) || Array.from(g.tensorOf(b!).data, Number).includes(0);
      return g.add('Mul', [dy, hasZero ? exceptAtZero(g, b!, slope) : slope]);
    },
    () => g.add('Mul', [dy, exceptAtZero(g, a!, g.add('Mul', [y!, g.add('Log', [a!])]))]),
  ],
  // a = q·b + y with q constant wherever there is a gradient.
  Mod: ({ g, inputs: [a, b], outputs: [y], dy }) => [
    () => dy,
    () => g.add('Mul', [dy, g.add('Div', [g.add('Sub', [y!, a!]), b!])]),
  ],
  Max: ({ g, inputs: [a, b], dy }) => [
    () => g.add('Mul', [dy, share(g, a!, b!)]),
    () => g.add('Mul', [dy, share(g, b!, a!)]),
  ],
  Min: ({ g, inputs: [a, b], dy }) => [
    () => g.add('Mul', [dy, share(g, b!, a!)]),
    () => g.add('Mul', [dy, share(g, a!, b!)]),
  ],
  Equal: discrete,
  Greater: discrete,
  GreaterOrEqual: discrete,
  Less: discrete,
  LessOrEqual: discrete,
  And: discrete,
  Or: discrete,
  Xor: discrete,
  Not: discrete,
  Sign: steps,
  Ceil: steps,
  Floor: steps,
  Round: steps,
  Neg: ({ g, dy }) => [() => g.add('Neg', [dy])],
  Abs: ({ g, inputs: [x], dy }) => [() => g.add('Mul', [dy, g.add('Sign', [x!])])],
  // Infinite at 0: there the gradient is 0, as PyTorch has it for a standard deviation, since most roots of 0 are such.
  Sqrt: ({ g, outputs: [y], dy }) => [() => exceptAtZero(g, y!, g.add('Div', [scale(g, dy, 0.5), y!]))],
  Exp: ({ g, outputs: [y], dy }) => [() => g.add('Mul', [dy, y!])],
  Log: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, x!])],
  Reciprocal: ({ g, outputs: [y], dy }) => [() => g.add('Neg', [g.add('Mul', [dy, g.add('Mul', [y!, y!])])])],
  // erf′ = 2/√π · exp(−x²)
  Erf: ({ g, inputs: [x], dy }) => [
    () => {
      const bell = g.add('Exp', [g.add('Neg', [g.add('Mul', [x!, x!])])]);
      return g.add('Mul', [dy, scale(g, bell, 2 / Math.sqrt(Math.PI))]);
    },
  ],
  Sin: ({ g, inputs: [x], dy }) => [() => g.add('Mul', [dy, g.add('Cos', [x!])])],
  Cos: ({ g, inputs: [x], dy }) => [() => g.add('Neg', [g.add('Mul', [dy, g.add('Sin', [x!])])])],
  Tan: ({ g, outputs: [y], dy }) => [() => g.add('Mul', [dy, quadratic(g, y!, 1, 1)])],
  Asin: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, g.add('Sqrt', [quadratic(g, x!, -1, 1)])])],
  Acos: ({ g, inputs: [x], dy }) => [
    () => g.add('Neg', [g.add('Div', [dy, g.add('Sqrt', [quadratic(g, x!, -1, 1)])])]),
  ],
  Atan: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, quadratic(g, x!, 1, 1)])],
  Sinh: ({ g, inputs: [x], dy }) => [() => g.add('Mul', [dy, g.add('Cosh', [x!])])],
  Cosh: ({ g, inputs: [x], dy }) => [() => g.add('Mul', [dy, g.add('Sinh', [x!])])],
  Asinh: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, g.add('Sqrt', [quadratic(g, x!, 1, 1)])])],
  Acosh: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, g.add('Sqrt', [quadratic(g, x!, 1, -1)])])],
  Atanh: ({ g, inputs: [x], dy }) => [() => g.add('Div', [dy, quadratic(g, x!, -1, 1)])],
  // A product is faster than Where, and the mask is exact: 0 or 1.
  Relu: ({ g, outputs: [y], dy }) => [
    () =>
      g.add('Mul', [
        dy,
        g.add('Cast', [g.add('Greater', [y!, g.scalar(0, y!.type)])], { to: TYPE_CODES[y!.type] }),
      ]),
  ],
  // Below zero y = α(eˣ − 1), so y′ = y + α.
  Elu: ({ g, inputs: [x], outputs: [y], attributes: { alpha }, dy }) => [
    () => {
      const below = g.add('Mul', [dy, g.add('Add', [y!, g.scalar(alpha, dy.type)])]);
      return g.add('Where', [g.add('Greater', [x!, g.scalar(0, x!.type)]), dy, below]);
    },
  ],
  LeakyRelu: ({ g, inputs: [x], attributes: { alpha }, dy }) => [
    () => {
      const isPositive = g.add('Greater', [x!, g.scalar(0, x!.type)]);
      if (alpha < 0 || alpha > 1) return g.add('Where', [isPositive, dy, scale(g, dy, alpha)]);
      // As above: 1, or alpha instead of 0.
      const mask = g.add('Cast', [isPositive], { to: TYPE_CODES[x!.type] });
      return g.add('Mul', [dy, g.add('Clip', [mask, g.scalar(alpha, x!.type)])]);
    },
  ],
  // σ′ = σ(1 − σ) = σ − σ²
  Sigmoid: ({ g, outputs: [y], dy }) => [
    () => g.add('Mul', [dy, g.add('Sub', [y!, g.add('Mul', [y!, y!])])]),
  ],
  // tanh′ = 1 − tanh²
  Tanh: ({ g, outputs: [y], dy }) => [() => g.add('Sub', [dy, g.add('Mul', [dy, g.add('Mul', [y!, y!])])])],
  Softplus: ({ g, inputs: [x], dy }) => [() => g.add('Mul', [dy, g.add('Sigmoid', [x!])])],
  Identity: ({ dy }) => [() => dy],
  Clip: ({ g, inputs: [x, low, high], outputs: [y], dy }) => {
    const zero = () => g.scalar(0, dy.type);
    const changed = () => g.add('Where', [g.add('Equal', [x!, y!]), zero(), dy]);
    // The upper limit has the last word where it is below the lower one.
    const isHigh = () => g.add('Equal', [y!, high!]);
    return [
      // Nothing passes at the limits, as nothing passes a ReLU at 0.
      () => {
        const isWithin = [
          ...(low ? [g.add('Greater', [x!, low])] : []),
          ...(high ? [g.add('Less', [x!, high])] : []),
        ].reduce((a, b) => g.add('And', [a, b]));
        return g.add('Where', [isWithin, dy, zero()]);
      },
      () => (high ? g.add('Where', [isHigh(), zero(), changed()]) : changed()),
      () => g.add('Where', [isHigh(), changed(), zero()]),
    ];
  },
  Cast: ({ g, inputs: [x], dy }) => [() => g.add('Cast', [dy], { to: TYPE_CODES[x!.type] })],
  Where: ({ g, inputs: [condition], dy }) => [
    null,
    () => g.add('Where', [condition!, dy, g.scalar(0, dy.type)]),
    () => g.add('Where', [condition!, g.scalar(0, dy.type), dy]),
  ],
};
