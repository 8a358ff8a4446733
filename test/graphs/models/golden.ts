import type { Parameter } from '../../../graphs/nn/module.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { gradientName } from '../../../graphs/programs/built.js';
import type { EngineTensor, Tensors } from '../../../src/runtime/engine.js';
import type { StoredTensor } from '../../../src/weights/safetensors.js';
import { readSafetensors } from '../../../src/weights/safetensors-file.js';
import { noise, relativeError } from '../run.js';

/** A network, a batch, and PyTorch's gradient of every parameter; ../../golden/make_golden.py made them. */
export interface Golden<Config> {
  readonly config: Config;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly values: (name: string) => Float32Array;
}

export function readGolden<Config>(file: string): Golden<Config> {
  const path = new URL(`../../golden/${file}.safetensors`, import.meta.url).pathname;
  const { tensors, metadata } = readSafetensors(path);
  return {
    config: JSON.parse(metadata.config!) as Config,
    tensors,
    values: (name) => tensors.get(name)!.data as Float32Array,
  };
}

const seedOf = (name: string) =>
  [...name].reduce((seed, character) => (seed * 31 + character.charCodeAt(0)) % 65521, 0);

/** How the script makes parameters: [scale, offset] of noise, by name and shape. */
function rangeOf(name: string, shape: readonly number[]): [scale: number, offset: number] {
  if (/running_mean/.test(name)) return [0.2, 0.1];
  if (/running_var/.test(name)) return [0.3, 1];
  if (/norm\d\.weight/.test(name)) return [0.2, 1];
  if (/norm\d\.bias/.test(name)) return [0.2, 0.1];
  if (/bias/.test(name)) return [0.1, 0];
  if (/up\.weight/.test(name)) return [Math.sqrt(1 / shape[0]!), 0];
  return [Math.sqrt(3 / sizeOf(shape.slice(1))), 0];
}

/** The script's parameters, as far as a graph takes them. */
export function parameterFeeds(
  parameters: readonly Parameter[],
  inputs: readonly { readonly name: string }[],
): Record<string, EngineTensor> {
  const taken = parameters.filter((p) => inputs.some((v) => v.name === p.name));
  return Object.fromEntries(
    taken.map(({ name, shape }): [string, EngineTensor] => {
      const data = noise(sizeOf(shape), seedOf(name), ...rangeOf(name, shape));
      return [name, { type: 'float32', shape, data }];
    }),
  );
}

/** An error that should be below a tolerance. */
export interface Comparison {
  readonly what: string;
  readonly error: number;
  readonly tolerance: number;
}

/** How far loss and the gradient of every trainable parameter are from PyTorch's. */
export function compareGradients(
  result: Tensors,
  parameters: readonly Parameter[],
  { values }: Golden<unknown>,
): Comparison[] {
  const names = parameters.filter((p) => p.trainable).map((p) => p.name);
  const largest = Math.max(...names.flatMap((name) => [...values(gradientName(name))].map(Math.abs)));
  const loss = Math.abs((result.loss!.data[0] as number) / values('loss')[0]! - 1);
  const gradients = names.map((what): Comparison => {
    const got = result[gradientName(what)]!.data as Float32Array;
    const expected = values(gradientName(what));
    // A bias before BatchNorm has no gradient; PyTorch's is rounding noise.
    return /conv\d\.bias/.test(what)
      ? { what, error: Math.max(...expected.map((v) => Math.abs(v - got[0]!))), tolerance: 1e-5 * largest }
      : { what, error: relativeError(got, expected), tolerance: 1e-4 };
  });
  return [{ what: 'loss', error: loss, tolerance: 1e-5 }, ...gradients];
}
