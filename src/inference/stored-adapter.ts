/**
 * What a fine-tuned model that was made elsewhere says in its metadata of the images that it was trained on: how they become its
 * input, and its output probabilities.
 */
import * as z from 'zod';
import { sizeOf } from '../../graphs/onnx/types.js';
import { windowSchema } from '../data/store/wholes.js';
import { UserError } from '../errors.js';
import type { EngineTensor } from '../runtime/engine.js';

/** Key of the metadata, whose value is JSON. */
export const IMAGE_ADAPTER = 'image_adapter';

const adapterSchema = z.strictObject({
  kind: z.enum(['classification', 'segmentation']),
  classes: z.int().positive(),
  /** Of images; an only one is repeated so often. */
  channels: z.int().positive(),
  repeat: z.int().positive(),
  /** Axes of the input: volumes, volumes without channels, or slices. */
  axes: z.enum(['NCDHW', 'NDHW', 'NCHW']),
  /** Values outside are clipped, and become (value − offset) · scale. */
  clip: windowSchema.nullable(),
  offset: z.number(),
  scale: z.number(),
  /** The output of the classes, and what its values are. */
  output: z.string().min(1),
  values: z.enum(['logits', 'probabilities', 'logProbabilities']),
});
export type StoredAdapter = z.infer<typeof adapterSchema>;

/** @returns null for a model that is not of this kind @throws UserError when it is damaged */
export function storedAdapter(
  metadata: Readonly<Record<string, string>>,
  where: string,
): StoredAdapter | null {
  const text = metadata[IMAGE_ADAPTER];
  if (text === undefined) return null;
  try {
    return adapterSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError('input', {
      what: `the metadata of the model are damaged: ${IMAGE_ADAPTER}`,
      where,
      got: text,
      cause,
    });
  }
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/**
 * Probabilities of the classes [N,classes,…] at each position of an output [N,n,…]: n is the number of classes; one less for the
 * second of two alone; or one more for a mask with its background.
 */
export function probabilitiesOf(
  { data, shape }: EngineTensor,
  { kind, classes, values }: Pick<StoredAdapter, 'kind' | 'classes' | 'values'>,
): Float32Array {
  const [samples, found, ...sizes] = shape as [number, number, ...number[]];
  const positions = sizeOf(sizes);
  const isExclusive = found > classes || (kind === 'classification' && found === classes);
  const isSoftmax = values === 'logits' && isExclusive;
  const valueAt = (n: number, c: number, i: number) =>
    (data as Float32Array)[(n * found + c) * positions + i]!;
  /** log Σ eᶻ */
  const logSum = (n: number, i: number): number => {
    let most = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < found; c++) most = Math.max(most, valueAt(n, c, i));
    let sum = 0;
    for (let c = 0; c < found; c++) sum += Math.exp(valueAt(n, c, i) - most);
    return most + Math.log(sum);
  };
  const probability = (value: number, ofAll: number): number => {
    if (values === 'probabilities') return value;
    return isSoftmax || values === 'logProbabilities' ? Math.exp(value - ofAll) : sigmoid(value);
  };
  const result = new Float32Array(samples * classes * positions);
  for (let n = 0; n < samples; n++)
    for (let i = 0; i < positions; i++) {
      const ofAll = isSoftmax ? logSum(n, i) : 0;
      for (let c = 0; c < classes; c++) {
        const own = probability(valueAt(n, Math.max(0, c + found - classes), i), ofAll);
        result[(n * classes + c) * positions + i] = found < classes && c === 0 ? 1 - own : own;
      }
    }
  return result;
}
