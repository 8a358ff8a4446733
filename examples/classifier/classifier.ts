/** What a file says of the classifier in it, and how pictures become its input. */
import { decodeModel, formatShape, type Value } from 'parts2whole/autodiff';
import { type EngineTensor, UserError } from 'parts2whole/browser';

export interface Size {
  readonly height: number;
  readonly width: number;
}

export interface Classifier {
  /** Name of its input, [N,3,H,W] or [N,H,W,3]. */
  readonly input: string;
  readonly channels: 'first' | 'last';
  /** Null where the file leaves it open. */
  readonly batch: number | null;
  readonly height: number | null;
  readonly width: number | null;
}

/** A picture [H,W,3] of red, green and blue, from 0 to 255. */
export type Pixels = Uint8Array;

/** Which values a network expects, of those from 0 to 1: (value − mean) / deviation, of each colour. */
export const NORMALISATIONS = {
  imagenet: { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  unit: { mean: [0, 0, 0], deviation: [1, 1, 1] },
  symmetric: { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
} as const;
export type Normalisation = keyof typeof NORMALISATIONS;

const COLOURS = 3;

function inputsOf(name: string, bytes: Uint8Array): readonly Value[] {
  try {
    // Weights that lie in other files cannot be had here; training says so.
    const { inputs, initializers } = decodeModel(bytes, () => null).graph;
    return inputs.filter((input) => !initializers.has(input.name));
  } catch (cause) {
    throw new UserError('input', {
      what: 'this is not an ONNX model that can be read here',
      where: name,
      got: cause instanceof Error ? cause.message : String(cause),
      expected: 'an image classifier as a .onnx file',
      cause,
    });
  }
}

/** @param name of the file @throws UserError when it is no model, or does not take pictures */
export function readClassifier(name: string, bytes: Uint8Array): Classifier {
  const inputs = inputsOf(name, bytes);
  const [input, second] = inputs;
  const axis =
    input?.shape.length === 4 && !second
      ? ([1, 3] as const).find((i) => input.shape[i] === COLOURS)
      : undefined;
  if (!input || !axis)
    throw new UserError('input', {
      what: 'this model does not take pictures',
      where: name,
      got: inputs.map((value) => `${value.name} ${formatShape(value.shape)}`).join(', ') || 'no inputs',
      expected: 'one input, [N,3,height,width] or [N,height,width,3]',
    });
  const sizes = input.shape.map((size) => (typeof size === 'number' ? size : null));
  const [height, width] = axis === 1 ? [sizes[2]!, sizes[3]!] : [sizes[1]!, sizes[2]!];
  return { input: input.name, channels: axis === 1 ? 'first' : 'last', batch: sizes[0]!, height, width };
}

/** The input's sizes for a batch. */
export const inputShape = ({ channels }: Classifier, batch: number, { height, width }: Size): number[] =>
  channels === 'first' ? [batch, COLOURS, height, width] : [batch, height, width, COLOURS];

/** A batch of pictures as input of the network; what is missing of it stays 0. */
export function inputTensor(
  pictures: readonly Pixels[],
  shape: readonly number[],
  channels: Classifier['channels'],
  normalisation: Normalisation,
): EngineTensor {
  const { mean, deviation } = NORMALISATIONS[normalisation];
  const values = shape.reduce((product, size) => product * size);
  const perPicture = values / shape[0]!;
  const pixels = perPicture / COLOURS;
  const data = new Float32Array(values);
  for (const [n, picture] of pictures.entries())
    for (let i = 0; i < pixels; i++)
      for (let colour = 0; colour < COLOURS; colour++) {
        const at = channels === 'first' ? colour * pixels + i : i * COLOURS + colour;
        const value = picture[i * COLOURS + colour]! / 255;
        data[n * perPicture + at] = (value - mean[colour]!) / deviation[colour]!;
      }
  return { type: 'float32', shape, data };
}
