import type { Parameter } from '../../graphs/nn/module.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { randomStream } from '../random.js';

/**
 * First values of a network's parameters. Each has a stream of its own, so adding a layer changes no other.
 * Glorot uniform: U(−l, l) with l = √(6 / (fan-in + fan-out)).
 */
export function initialize(parameters: readonly Parameter[], seed: number): Map<string, Float32Array> {
  return new Map(parameters.map((parameter) => [parameter.name, firstValues(parameter, seed)]));
}

function firstValues({ name, shape, initializer }: Parameter, seed: number): Float32Array {
  if (initializer.kind === 'given') return initializer.values.slice();
  const values = new Float32Array(sizeOf(shape));
  if (initializer.kind === 'constant') return values.fill(initializer.value);
  const random = randomStream(seed, 'parameter', name);
  const limit = Math.sqrt(6 / (initializer.fanIn + initializer.fanOut));
  return values.map(() => random.between(-limit, limit));
}
