import { halfToNumber } from '../../graphs/onnx/float16.js';
import type { Safetensors, StoredTensor } from './safetensors.js';

/** A tensor of a file of weights. */
export interface WeightTensor {
  /** Its type in the file, such as `F16`. */
  readonly type: string;
  readonly shape: readonly number[];
  /** null for integers, which no weight of ours is. */
  readonly data: Float32Array | null;
}
export type Weights = ReadonlyMap<string, WeightTensor>;

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
      return Float32Array.from(data as Uint16Array, halfToNumber);
    case 'BF16':
      return fromBrain(data as Uint16Array);
    default:
      return null;
  }
}

/** The floats of a file, whatever their width. */
export const weightsOf = ({ tensors }: Pick<Safetensors, 'tensors'>): Weights =>
  new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      { type: tensor.dtype, shape: tensor.shape, data: toFloat32(tensor) },
    ]),
  );
