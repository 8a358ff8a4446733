import type { Parameter } from '../../graphs/nn/module.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { randomStream } from '../random.js';

/**
 * Limits l of weights that are drawn from U(−l, l). Glorot's, Keras' default: √(6 / (fan-in + fan-out)); He's, for ReLU:
 * √(6 / fan-in).
 */
export type Initialization = 'glorotUniform' | 'heUniform';

/** First values of a network's parameters. Each has a stream of its own, so adding a layer changes no other. */
export function initialize(
  parameters: readonly Parameter[],
  seed: number,
  initialization: Initialization = 'glorotUniform',
): Map<string, Float32Array> {
  return new Map(
    parameters.map((parameter) => [parameter.name, firstValues(parameter, seed, initialization)]),
  );
}

function firstValues(
  { name, shape, initializer }: Parameter,
  seed: number,
  initialization: Initialization,
): Float32Array {
  if (initializer.kind === 'given') return initializer.values.slice();
  const values = new Float32Array(sizeOf(shape));
  if (initializer.kind === 'constant') return values.fill(initializer.value);
  const random = randomStream(seed, 'parameter', name);
  const { fanIn, fanOut } = initializer;
  const limit = Math.sqrt(6 / (initialization === 'heUniform' ? fanIn : fanIn + fanOut));
  return values.map(() => random.between(-limit, limit));
}
