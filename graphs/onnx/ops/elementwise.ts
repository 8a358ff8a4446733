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
  Max: binary(),
  Min: binary(),
  Equal: binary('bool'),
  Greater: binary('bool'),
  Less: binary('bool'),
  And: binary('bool'),
  Not: unary(),
  Neg: unary(),
  Abs: unary(),
  Sign: unary(),
  Sqrt: unary(),
  Exp: unary(),
  Log: unary(),
  Reciprocal: unary(),
  Relu: unary(),
  Sigmoid: unary(),
  Tanh: unary(),
  Softplus: unary(),
  Identity: unary(),
  LeakyRelu: operator([1, 1], { alpha: float(0.01) }, ([x]) => [x!]),
  /** x, then the limits as scalars. */
  Clip: operator([3, 3], {}, ([x]) => [x!]),
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
