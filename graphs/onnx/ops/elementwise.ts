import {
  broadcast,
  float,
  type InferInput,
  type InferredOutput,
  int,
  operator,
  sameType,
} from '../operator.js';
import type { ElementType } from '../types.js';

const unary = (infer = ([x]: readonly InferInput[]): InferredOutput[] => [x!]) => operator([1, 1], {}, infer);

const binary = (result?: ElementType) =>
  operator([2, 2], {}, (inputs) => {
    const type = sameType(inputs);
    return [{ type: result ?? type, shape: broadcast(inputs[0]!.shape, inputs[1]!.shape) }];
  });

/** TensorProto.DataType of what `Cast` may produce. */
export const CAST_TYPES: Readonly<Record<number, ElementType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
};

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
  Cast: operator([1, 1], { to: int(1) }, ([x], { to }) => [{ type: CAST_TYPES[to]!, shape: x!.shape }]),
  Where: operator([3, 3], {}, ([condition, x, y]) => [
    { type: sameType([x!, y!]), shape: broadcast(condition!.shape, broadcast(x!.shape, y!.shape)) },
  ]),
};
