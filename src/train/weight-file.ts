import { extname } from 'node:path';
import { readNpz } from '../data/formats/npz.js';
import { UserError } from '../errors.js';
import type { StoredTensor } from './safetensors.js';
import { readSafetensors } from './safetensors-file.js';

/** A tensor of a file of weights. */
export interface WeightTensor {
  /** Its type in the file, such as `F16`. */
  readonly type: string;
  readonly shape: readonly number[];
  /** null for whole numbers, which no weight of ours is. */
  readonly data: Float32Array | null;
}
export type Weights = ReadonlyMap<string, WeightTensor>;

/** The value of 16 bits: sign, 5 of exponent, 10 of fraction (IEEE 754). */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** bfloat16 is the upper half of a float32. */
const fromBrain = (data: Uint16Array): Float32Array =>
  new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);

function toFloat32({ dtype, data }: StoredTensor): Float32Array | null {
  switch (dtype) {
    case 'F32':
      return data as Float32Array;
    case 'F64':
      return Float32Array.from(data as Float64Array);
    case 'F16':
      return Float32Array.from(data as Uint16Array, fromHalf);
    case 'BF16':
      return fromBrain(data as Uint16Array);
    default:
      return null;
  }
}

/** Reads `.safetensors` or `.npz`. @throws UserError when the file is of another kind, missing or broken */
export async function readWeights(path: string): Promise<Weights> {
  switch (extname(path).toLowerCase()) {
    case '.safetensors': {
      const entries = [...readSafetensors(path).tensors].map(([name, tensor]): [string, WeightTensor] => [
        name,
        { type: tensor.dtype, shape: tensor.shape, data: toFloat32(tensor) },
      ]);
      return new Map(entries);
    }
    case '.npz': {
      const entries = [...(await readNpz(path))].map(
        ([name, { dtype, shape, data }]): [string, WeightTensor] => [
          name,
          {
            type: dtype,
            shape,
            data:
              data instanceof Float32Array
                ? data
                : data instanceof Float64Array
                  ? Float32Array.from(data)
                  : null,
          },
        ],
      );
      return new Map(entries);
    }
    default:
      throw new UserError('input', {
        what: 'weights of this kind cannot be read',
        where: path,
        expected: '.safetensors or .npz',
        fix: 'in PyTorch: numpy.savez("weights.npz", **{k: v.numpy() for k, v in state_dict.items()})',
      });
  }
}
