import { extname } from 'node:path';
import { readNpz } from '../data/scan/npz.js';
import { UserError } from '../errors.js';
import { readSafetensors } from './safetensors-file.js';
import { type Weights, type WeightTensor, weightsOf } from './weights.js';

/**
 * Reads `.safetensors` or `.npz`.
 * @throws UserError when the file is of another kind, missing or broken
 * @example
 * const weights = await readWeights('weights.safetensors');
 */
export async function readWeights(path: string): Promise<Weights> {
  switch (extname(path).toLowerCase()) {
    case '.safetensors':
      return weightsOf(readSafetensors(path));
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
        what: 'this weight format is not supported',
        where: path,
        expected: '.safetensors or .npz',
        fix: 'in PyTorch: numpy.savez("weights.npz", **{k: v.numpy() for k, v in state_dict.items()})',
      });
  }
}
