/** ONNX models that take images, as `p2w export` writes them: what they say of themselves, and running them. */
import { formatShape, GraphError, type Shape, sizeOf } from '../../graphs/onnx/types.js';
import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { sha256 } from '../data/store/arrays.js';
import type { HuWindow } from '../data/store/wholes.js';
import { UserError } from '../errors.js';
import { loadForSizes } from '../execution/inference-session.js';
import { checkThreads } from '../machine.js';
import { readModelFile, refuseExternal } from '../onnx-file.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { intensitiesOf } from './model.js';
import { EXPECTED_MODEL, interfaceOf, type ModelKind } from './model-interface.js';

/** A model that takes images, ready to run. */
export interface ImageModel {
  readonly path: string;
  /** Of the whole file, in hexadecimal. */
  readonly sha256: string;
  readonly kind: ModelKind;
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Channels of an image [N,C,D,H,W]; null for a model of images [N,D,H,W]. */
  readonly channels: number | null;
  /** Voxels x, y, z of images: those that the model is fixed to, or was trained on; null where it does not say. */
  readonly size: XYZ | null;
  /** Lengths x, y, z that images must have; null where they may vary. */
  readonly fixed: readonly (number | null)[];
  /** Sizes of images must be multiples of these, x, y, z. */
  readonly multiples: XYZ;
  /** Voxels of an image that one of a reconstruction stands for, x, y, z. */
  readonly average: XYZ;
  /** Spacing of images in mm; null for a model that takes any. */
  readonly spacing: XYZ | null;
  /** What the values of images must be, and which of them the model tells apart. */
  readonly normalise: Normalisation;
  readonly window: HuWindow;
  /** Its input of images. */
  readonly input: { readonly name: string; readonly type: 'float32' | 'int16' };
  /** Shapes of its outputs, by name. */
  readonly outputs: ReadonlyMap<string, Shape>;
  /**
   * Runs a batch of images. The first batch of a shape takes longer: the model is loaded for it.
   * @param values as many as the shape says, x fastest; rounded for a model that takes int16
   * @throws UserError when the values do not fill the shape, or the model cannot take it
   */
  run(values: Float32Array | Int16Array, shape: readonly number[]): Promise<Tensors>;
  release(): Promise<void>;
}

/** Shapes of batches whose sessions are kept. */
const KEPT = 2;

/** `64x64x32` as numbers; undefined where a model does not say. @throws UserError when it says something else */
function parseLengths(path: string, metadata: ImageModel['metadata'], key: string): XYZ | undefined {
  const text = metadata[key];
  const lengths = text?.split('x').map(Number);
  if (lengths === undefined || (lengths.length === 3 && lengths.every((length) => length > 0)))
    return lengths as XYZ | undefined;
  throw new UserError('input', {
    what: `the metadata of the model are damaged: ${key}`,
    where: path,
    got: text!,
    expected: 'three numbers, x×y×z, such as 64x64x32',
  });
}

/** The lengths that a model is fixed to, x, y, z. */
const fixedLengths = (shape: Shape): (number | null)[] =>
  shape
    .slice(-3)
    .toReversed()
    .map((length) => (typeof length === 'number' ? length : null));

/** Whether a batch has as many axes as a model takes, as long as it takes them. */
const suits = (wanted: Shape, shape: readonly number[]): boolean =>
  shape.length === wanted.length && wanted.every((size, i) => typeof size === 'string' || size === shape[i]);

/** @throws UserError for an export of an earlier version, which does not say what values it takes */
function checkDescribed(path: string, metadata: ImageModel['metadata']): void {
  if (metadata.normalise !== undefined || !metadata.preprocessing?.startsWith('outside the model')) return;
  throw new UserError('input', {
    what: 'the model does not say how its images are normalised: it was exported by an earlier version',
    where: path,
    fix: 'export it again with `p2w export`',
  });
}

/**
 * Opens a model with an input `hu` or `image`, [N,D,H,W] or [N,C,D,H,W], and an output `features`, `reconstruction` or
 * `probabilities`, or one whose metadata say how it takes images.
 * @param given path, or the name of an encoder that comes with the package
 * @param threads of one run; 0 leaves it to the engine
 * @throws UserError when the file cannot be read, or is no such model
 */
export function openImageModel(given: string, engine: Engine, threads = 0): ImageModel {
  checkThreads('threads', threads, 0);
  const { path, bytes, model } = readModelFile(given, EXPECTED_MODEL);
  refuseExternal(model, path);
  const { metadata } = model;
  const own = interfaceOf(path, model);
  checkDescribed(path, metadata);
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
      const session = await loadForSizes(model, bytes, { [own.image.name]: shape }, engine, threads);
      sessions.set(key, session);
      return session;
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      throw new UserError('input', {
        what: error.message,
        where: path,
        expected: EXPECTED_MODEL,
        cause: error,
      });
    }
  };

  // A session must not be released while it runs. One run takes all cores, so that turns cost no time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };

  const lengths = (key: string) => parseLengths(path, metadata, key);
  const fixed = fixedLengths(own.shape);
  const multiples = lengths('size_multiple') ?? [1, 1, 1];
  return {
    path,
    sha256: sha256(bytes),
    metadata,
    kind: own.kind,
    channels: own.channels,
    input: own.input,
    outputs: own.outputs,
    fixed,
    size:
      (fixed.includes(null) ? undefined : (fixed as unknown as XYZ)) ??
      lengths('tile_size') ??
      lengths('sample_size') ??
      null,
    multiples,
    average: lengths('average') ?? [1, 1, 1],
    spacing: lengths('spacing') ?? null,
    ...intensitiesOf(metadata, path),
    run: (values, shape) =>
      inTurn(async () => {
        if (!suits(own.shape, shape) || values.length !== sizeOf(shape))
          throw new UserError('input', {
            what: `a batch of images must be ${formatShape(own.shape)}`,
            got: `${values.length} values for [${shape.join(', ')}]`,
          });
        const size = shape.slice(-3).toReversed();
        if (size.some((length, i) => length % multiples[i]! !== 0))
          throw new UserError('input', {
            what: 'images of this size cannot be divided by the poolings of the model',
            where: path,
            got: `${size.join('×')} voxels (x×y×z)`,
            expected: `multiples of ${multiples.join(', ')}`,
          });
        return own.run(sessionFor, values, shape);
      }),
    release: () =>
      inTurn(async () => {
        for (const session of sessions.values()) await session.release();
        sessions.clear();
      }),
  };
}
