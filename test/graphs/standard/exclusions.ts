/** Node tests of the standard that are not passed, and why. */
import type { NodeTest } from './cases.js';

/** Operators without any case that is. */
const OPERATORS: Readonly<Record<string, string>> = {
  Bernoulli: 'random',
  DeformConv: 'not translated',
  DequantizeLinear: 'quantised models are not trained: import the float model',
  Det: 'not translated',
  DynamicQuantizeLinear: 'quantised models are not trained: import the float model',
  MelWeightMatrix: 'its result depends on no weights: it is a constant of a model',
  OptionalGetElement: 'optional values are not supported',
  Range: 'its result depends on no weights: it is a constant of a model',
  RoiAlign: 'not translated',
  Unique: 'the size of its result depends on values',
};

const random = 'random in training mode';
const infinite = 'infinite operands and zero divisors, at which nothing can be compared';
const CASES: Readonly<Record<string, string>> = {
  test_maxpool_with_argmax_2d_precomputed_strides: 'indices in column-major order (storage_order 1)',
  test_mod_float_edge_cases_fmod_0_float16: infinite,
  test_mod_float_edge_cases_fmod_0_float32: infinite,
  test_mod_float_edge_cases_fmod_0_float64: infinite,
  test_training_dropout: random,
  test_training_dropout_default: random,
  test_training_dropout_default_mask: random,
  test_training_dropout_mask: random,
};

/** Why a case is not passed; `undefined` for all that are. */
export const exclusionOf = ({ name, node }: NodeTest): string | undefined =>
  OPERATORS[node.operator] ?? CASES[name];
