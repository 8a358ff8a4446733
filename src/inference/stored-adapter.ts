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

function softmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const powers = logits.map((z) => Math.exp(z - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/**
 * Probabilities of the classes [N,classes,…] at each position of an output [N,n,…]: n is the number of classes; one less for the
 * second of two alone; or one more for a mask with its background.
 */
export function probabilitiesOf(
  { data, shape }: EngineTensor,
  { kind, classes, values }: StoredAdapter,
): Float32Array {
  const [samples, found, ...sizes] = shape as [number, number, ...number[]];
  const positions = sizeOf(sizes);
  const isExclusive = found > classes || (kind === 'classification' && found === classes);
  const activated = (of: Float64Array): Float64Array => {
    if (values === 'probabilities') return of;
    if (values === 'logProbabilities') return of.map(Math.exp);
    return isExclusive ? softmax(of) : of.map(sigmoid);
  };
  const result = new Float32Array(samples * classes * positions);
  const each = new Float64Array(found);
  for (let n = 0; n < samples; n++)
    for (let i = 0; i < positions; i++) {
      for (let c = 0; c < found; c++) each[c] = (data as Float32Array)[(n * found + c) * positions + i]!;
      const own = activated(each);
      for (let c = 0; c < classes; c++)
        result[(n * classes + c) * positions + i] =
          found < classes ? (c === 0 ? 1 - own[0]! : own[0]!) : own[c + found - classes]!;
    }
  return result;
}
