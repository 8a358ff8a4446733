import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import type { TileStore } from '../data/store/tiles.js';
import type { HuWindow } from '../data/store/wholes.js';
import { UserError } from '../errors.js';
import type { Engine } from '../runtime/engine.js';
import { openImageModel } from './image-model.js';

/** What an encoder says of one batch. */
export interface Encoding {
  /** Length of a feature vector. */
  readonly dimensions: number;
  /** [N, dimensions]: the average of the feature map over all positions. */
  readonly features: Float32Array;
}

/** An exported encoder, ready to run. */
export interface Encoder {
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Size of the tiles that it was trained on, if it says so. */
  readonly tile: XYZ | undefined;
  /** What the values of images must be, and which of them the encoder tells apart. */
  readonly normalise: Normalisation;
  readonly window: HuWindow;
  /**
   * Encodes a batch of images. The first batch of a size takes longer: the model is loaded for it.
   * @param values [N,D,H,W], x fastest: HU, or what `normaliseVolume` makes of a scan; rounded for a model that takes int16
   * @throws UserError when the values do not fill the shape, or the model cannot take it
   */
  encode(values: Float32Array | Int16Array, shape: readonly number[]): Promise<Encoding>;
  release(): Promise<void>;
}

/** @throws UserError of kind `data` for tiles whose values are others than an encoder was trained on */
export function checkIntensities(
  { normalise }: Pick<Encoder, 'normalise'>,
  model: string,
  { folder, manifest }: Pick<TileStore, 'folder' | 'manifest'>,
): void {
  const found = manifest.options.normalise;
  if (found === normalise) return;
  throw new UserError('data', {
    what: 'these tiles are normalised differently from the encoder’s training data',
    where: folder,
    got: `normalise ${found}`,
    expected: `normalise ${normalise}, as recorded in ${model}`,
    fix: `prepare them with --normalise ${normalise}, or pass the scans themselves`,
  });
}

/**
 * Opens an encoder that `p2w export` wrote, or any model with an input `hu` (or `image`) [N,D,H,W] and an output `features` [N,C].
 * @param path or the name of an encoder that comes with the package, such as `chest`
 * @param threads of one run; 0 leaves it to the engine
 * @throws UserError when the file cannot be read, or is no such model
 * @example
 * const encoder = openEncoder('encoder.onnx', nodeEngine);
 * const { features } = await encoder.encode(hu, [1, 16, 32, 32]);
 * await encoder.release();
 */
export function openEncoder(path: string, engine: Engine, threads = 0): Encoder {
  const model = openImageModel(path, engine, threads);
  if (!model.outputs.has('features') || model.channels !== null)
    throw new UserError('input', {
      what: 'there is no input "hu" or "image" [N,D,H,W] with an output "features"',
      where: path,
      got: `a ${model.kind}`,
      expected: 'an encoder written by `p2w export`',
    });
  const { metadata, size, normalise, window, release } = model;
  return {
    metadata,
    tile: size ?? undefined,
    normalise,
    window,
    release,
    encode: async (values, shape) => {
      const { features } = await model.run(values, shape);
      return { dimensions: features!.shape[1]!, features: features!.data as Float32Array };
    },
  };
}
