import { readFileSync } from 'node:fs';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { GraphError, type Model, sizeOf } from '../../graphs/onnx/types.js';
import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import type { TileStore } from '../data/store/tiles.js';
import type { HuWindow } from '../data/store/wholes.js';
import { fromSystemError, UserError } from '../errors.js';
import { loadForSizes } from '../execution/inference-session.js';
import { checkThreads } from '../machine.js';
import type { Engine, Session } from '../runtime/engine.js';
import { intensitiesOf } from './model.js';

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

/** The input of images: HU, or where they were normalised before, other values. */
const imageOf = ({ inputs }: Model['graph']) => inputs.find(({ name }) => name === 'hu' || name === 'image');

/** Sizes of batches whose sessions are kept. */
const KEPT = 2;

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

const parseXYZ = (text: string | undefined): XYZ | undefined =>
  text?.split('x').map(Number) as unknown as XYZ | undefined;

/**
 * Opens an encoder that `p2w export` wrote, or any model with an input `hu` (or `image`) [N,D,H,W] and an output `features` [N,C].
 * @param threads of one run; 0 leaves it to the engine
 * @throws UserError when the file cannot be read, or is no such model
 * @example
 * const encoder = openEncoder('encoder.onnx', nodeEngine);
 * const { features } = await encoder.encode(hu, [1, 16, 32, 32]);
 * await encoder.release();
 */
export function openEncoder(path: string, engine: Engine, threads = 0): Encoder {
  checkThreads('threads', threads, 0);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw fromSystemError(error, path);
  }
  const refuse = (error: unknown): unknown =>
    error instanceof GraphError
      ? new UserError('input', {
          what: error.message,
          where: path,
          expected: 'an encoder written by `p2w export`',
          cause: error,
        })
      : error;
  let model: Model;
  try {
    model = decodeModel(bytes);
    const { outputs } = model.graph;
    if (!imageOf(model.graph) || !outputs.some(({ name }) => name === 'features'))
      throw new GraphError('there is no input "hu" or "image" with an output "features"');
  } catch (error) {
    throw refuse(error);
  }
  const { metadata } = model;
  const image = imageOf(model.graph)!;
  const type = image.type === 'int16' ? 'int16' : 'float32';
  const multiples = (parseXYZ(metadata.size_multiple) ?? [1, 1, 1]).toReversed();
  const sessions = new Map<string, Session>();

  const sessionFor = async (shape: readonly number[]): Promise<Session> => {
    const key = shape.join('×');
    const known = sessions.get(key);
    if (known) return known;
    if (sessions.size === KEPT) {
      const [[oldest, unused]] = sessions as unknown as [[string, Session]];
      sessions.delete(oldest);
      await unused.release();
    }
    try {
      const session = await loadForSizes(model, bytes, { [image.name]: shape }, engine, threads);
      sessions.set(key, session);
      return session;
    } catch (error) {
      throw refuse(error);
    }
  };

  // A session must not be released while it runs. One run takes all cores, so that turns cost no time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };

  return {
    metadata,
    tile: parseXYZ(metadata.tile_size),
    ...intensitiesOf(metadata, path),
    encode: (values, shape) =>
      inTurn(async () => {
        if (shape.length !== 4 || values.length !== sizeOf(shape))
          throw new UserError('input', {
            what: 'a batch of images must be [N, depth, height, width]',
            got: `${values.length} values for [${shape.join(', ')}]`,
          });
        if (multiples.some((multiple, i) => shape[i + 1]! % multiple !== 0))
          throw new UserError('input', {
            what: 'images of this size cannot be divided by the poolings of the encoder',
            where: path,
            got: `${shape.slice(1).reverse().join('×')} voxels (x×y×z)`,
            expected: `multiples of ${multiples.toReversed().join(', ')}`,
          });
        const session = await sessionFor(shape);
        const data = type === 'int16' ? Int16Array.from(values, Math.round) : Float32Array.from(values);
        const { features } = await session.run({ [image.name]: { type, shape, data } });
        return { dimensions: features!.shape[1]!, features: features!.data as Float32Array };
      }),
    release: () =>
      inTurn(async () => {
        for (const session of sessions.values()) await session.release();
        sessions.clear();
      }),
  };
}
