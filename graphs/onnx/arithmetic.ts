import type { GraphBuilder } from './builder.js';
import type { Value } from './types.js';

/** A value, or a number that stands for a scalar of the other operand's type. */
export type Operand = Value | number;
type Binary = 'Add' | 'Sub' | 'Mul' | 'Div' | 'Pow' | 'Max' | 'Min' | 'Equal' | 'Greater' | 'Less';
type Unary =
  | 'Abs'
  | 'Erf'
  | 'Exp'
  | 'Floor'
  | 'Log'
  | 'Neg'
  | 'Relu'
  | 'Sigmoid'
  | 'Softplus'
  | 'Sqrt'
  | 'Tanh';

/** Formulas as they are read: functions that add one elementwise node each. */
export function arithmetic(g: GraphBuilder) {
  const lift = (x: Operand, other: Operand): Value =>
    typeof x === 'number' ? g.scalar(x, (other as Value).type) : x;
  const binary = (operator: Binary) => (a: Operand, b: Operand) => g.add(operator, [lift(a, b), lift(b, a)]);
  const unary = (operator: Unary) => (x: Value) => g.add(operator, [x]);
  const where = (condition: Value, yes: Operand, no: Operand) =>
    g.add('Where', [condition, lift(yes, no), lift(no, yes)]);
  return {
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    pow: binary('Pow'),
    max: binary('Max'),
    min: binary('Min'),
    equal: binary('Equal'),
    greater: binary('Greater'),
    less: binary('Less'),
    abs: unary('Abs'),
    erf: unary('Erf'),
    exp: unary('Exp'),
    floor: unary('Floor'),
    log: unary('Log'),
    neg: unary('Neg'),
    relu: unary('Relu'),
    sigmoid: unary('Sigmoid'),
    softplus: unary('Softplus'),
    sqrt: unary('Sqrt'),
    tanh: unary('Tanh'),
    where,
    /** The p-th root of what is not negative; its gradient is 0, not infinite, where that is 0. */
    root: (x: Value, p: number) => {
      const isZero = g.add('Equal', [x, g.scalar(0, x.type)]);
      const safe = where(isZero, g.scalar(1, x.type), x);
      const root = p === 2 ? g.add('Sqrt', [safe]) : g.add('Pow', [safe, g.scalar(1 / p, x.type)]);
      return where(isZero, 0, root);
    },
    /** x where it lies between two numbers, and the nearer one elsewhere. */
    clip: (x: Value, low: number, high: number) =>
      g.add('Clip', [x, g.scalar(low, x.type), g.scalar(high, x.type)]),
  };
}
export type Arithmetic = ReturnType<typeof arithmetic>;
