import {
  broadcast,
  float,
  type InferInput,
  type InferredOutput,
  int,
  operator,
  sameType,
} from '../operator.js';
import { type ElementType, GraphError, TYPE_CODES } from '../types.js';

const unary = (infer = ([x]: readonly InferInput[]): InferredOutput[] => [x!]) => operator([1, 1], {}, infer);

const binary = (result?: ElementType) =>
  operator([2, 2], {}, (inputs) => {
    const type = sameType(inputs);
    return [{ type: result ?? type, shape: broadcast(inputs[0]!.shape, inputs[1]!.shape) }];
  });

const CAST_TYPES = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ElementType]));

export const elementwise = {
  Add: binary(),
  Sub: binary(),
  Mul: binary(),
  Div: binary(),
  Pow: binary(),
  /** With `fmod` 1 the remainder has the sign of the first input, as ONNX wants it for floats. */
  Mod: operator([2, 2], { fmod: int(0) }, ([a, b]) => [
    { type: sameType([a!, b!]), shape: broadcast(a!.shape, b!.shape) },
  ]),
  Max: binary(),
  Min: binary(),
  Equal: binary('bool'),
  Greater: binary('bool'),
  GreaterOrEqual: binary('bool'),
  Less: binary('bool'),
  LessOrEqual: binary('bool'),
  And: binary('bool'),
  Or: binary('bool'),
  Xor: binary('bool'),
  Not: unary(),
  Neg: unary(),
  Abs: unary(),
  Sign: unary(),
  Ceil: unary(),
  Floor: unary(),
  Round: unary(),
  Sqrt: unary(),
  Exp: unary(),
  Log: unary(),
  Reciprocal: unary(),
  Erf: unary(),
  Sin: unary(),
  Cos: unary(),
  Tan: unary(),
  Asin: unary(),
  Acos: unary(),
  Atan: unary(),
  Sinh: unary(),
  Cosh: unary(),
  Asinh: unary(),
  Acosh: unary(),
  Atanh: unary(),
  Relu: unary(),
  Sigmoid: unary(),
  Tanh: unary(),
  Softplus: unary(),
  Identity: unary(),
  Elu: operator([1, 1], { alpha: float(1) }, ([x]) => [x!]),
  LeakyRelu: operator([1, 1], { alpha: float(0.01) }, ([x]) => [x!]),
  /** x, then the limits as scalars, of which one may be left out. */
  Clip: operator([2, 3], {}, ([x]) => [x!]),
  /** `to` is a TensorProto.DataType. */
  Cast: operator([1, 1], { to: int(1) }, ([x], { to }) => {
    const type = CAST_TYPES.get(to);
    if (!type) throw new GraphError(`cannot cast to element type ${to}`);
    return [{ type, shape: x!.shape }];
  }),
  Where: operator([3, 3], {}, ([condition, x, y]) => [
    { type: sameType([x!, y!]), shape: broadcast(condition!.shape, broadcast(x!.shape, y!.shape)) },
  ]),
};
