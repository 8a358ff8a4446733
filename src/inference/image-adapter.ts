/** How a model takes the images of samples. */
import type { HuWindow } from '../../graphs/nn/input.js';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import { type ElementType, formatShape, type Model, type Value } from '../../graphs/onnx/types.js';
import type { ImportedConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import type { SampleVoxels } from '../data/samples/store.js';
import { normalisationOf, tileNormalisationOf, tileScaleOf } from '../data/samples/values.js';
import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { toInt16 } from '../int16.js';
import { intensitiesOf } from './model.js';
import { storedAdapter } from './stored-adapter.js';

export const EXPECTED_INPUT =
  'one image input: [N,D,H,W] in HU, [N,C,D,H,W] with values from 0 to 1, or [N,C,H,W], from 0 to 1, for samples of one slice';

const FLOATS: readonly ElementType[] = ['float32', 'float16', 'bfloat16', 'float64'];

const notAnEncoder = (path: string, inputs: readonly Value[]) =>
  new UserError('input', {
    what: 'this model does not take images',
    where: path,
    got:
      inputs.map(({ name, type, shape }) => `${name} ${type} ${formatShape(shape)}`).join(', ') ||
      'no inputs',
    expected: EXPECTED_INPUT,
  });

/** @throws UserError when the samples were normalised in another way than the images of a model of our own */
function checkNormalisation(found: Normalisation, path: string, { metadata }: Model): void {
  const { normalise } = intensitiesOf(metadata, path);
  if (found === normalise) return;
  throw new UserError('input', {
    what: 'the samples are normalised differently from what this encoder takes',
    where: path,
    got: `samples with --normalise ${found}`,
    expected: normalise,
    fix: `p2w prepare --task … --normalise ${normalise}`,
  });
}

/** @returns how often the only channel of the samples is repeated for a model of `channels` @throws UserError when that cannot be */
function repeats(path: string, channels: number | string, found: number): number {
  if (typeof channels === 'string' || channels === found) return 1;
  if (found === 1) return channels;
  throw new UserError('input', {
    what: `this model takes ${channels === 1 ? 'one channel' : `${channels} channels`}`,
    where: path,
    got: `samples with ${found}`,
  });
}

const AS_THEY_ARE = { clip: null, offset: 0, scale: 1 } as const;

type Values = Pick<ImageAdapter, 'clip' | 'offset' | 'scale'>;

/** Values within a window, whose ends become those of a range. */
const mapped = (window: HuWindow, [low, high]: readonly [number, number]): Values => {
  const scale = (high - low) / (window.high - window.low);
  return { clip: window, offset: window.low - low / scale, scale };
};

/** How values of samples become those of the model. @param isVolume whether images have no channels */
function inputValues(
  path: string,
  model: Model,
  format: SampleFormat,
  isVolume: boolean,
  range: ImportedConfig['inputRange'],
): Values {
  const { metadata } = model;
  const { window } = format;
  if (range) {
    if (window) return mapped(window, range);
    throw new UserError('config', {
      what: 'these samples have no window whose ends could become others',
      where: '--input-range',
      got: range.join(','),
      expected: 'samples of HU or z-scores',
    });
  }
  const stored = storedAdapter(metadata, path);
  if (stored) {
    checkNormalisation(normalisationOf(format), path, model);
    const { clip, offset, scale } = stored;
    return { clip, offset, scale };
  }
  if (isVolume) {
    checkNormalisation(tileNormalisationOf(format), path, model);
    return { ...AS_THEY_ARE, ...tileScaleOf(format) };
  }
  if (metadata.normalise !== undefined) {
    checkNormalisation(normalisationOf(format), path, model);
    return AS_THEY_ARE;
  }
  return window ? mapped(window, [0, 1]) : AS_THEY_ARE;
}

/**
 * Volumes [N,D,H,W] are given as our own exports take them, mostly as HU; images [N,C,D,H,W], and [N,C,H,W] where samples are slices, as
 * values from 0 to 1; unless the model's metadata or `range` say otherwise. An only channel is repeated as often as the model wants.
 * @throws UserError when the model takes no images, or not these
 */
export function imageAdapter(
  path: string,
  model: Model,
  format: SampleFormat,
  range: ImportedConfig['inputRange'] = null,
): ImageAdapter {
  const { graph } = model;
  const inputs = givenInputs(graph);
  const [image, ...others] = inputs;
  const rank = image?.shape.length;
  if (!image || others.length > 0 || (rank !== 4 && rank !== 5)) throw notAnEncoder(path, inputs);
  const isInt16 = image.type === 'int16';
  if (!isInt16 && !FLOATS.includes(image.type)) throw notAnEncoder(path, inputs);
  const [x, y, z] = format.size;
  const isSlice = rank === 4 && z === 1;
  const isVolume = rank === 4 && !isSlice;
  const repeat = repeats(path, isVolume ? 1 : image.shape[1]!, format.channels);
  const channels = isVolume ? [] : [format.channels * repeat];
  return {
    ...{ input: image.name, type: isInt16 ? 'int16' : 'float32', repeat },
    shape: [...channels, ...(isSlice ? [y, x] : [z, y, x])],
    ...inputValues(path, model, format, isVolume, range),
  };
}

/** What to say where a model was trained at another spacing than the samples have; null where that is not so, or not known. */
export function spacingNote({ metadata }: Model, spacing: XYZ | null): string | null {
  const own = metadata.spacing?.split('x').map(Number);
  if (!own || !spacing || spacing.every((mm, i) => Math.abs(mm / own[i]! - 1) <= 0.01)) return null;
  return `the model was trained on voxels of ${own.join('×')} mm, the samples have ${spacing.join('×')} mm`;
}

/** Images [N,C,D,H,W] as the model takes them, one behind the other. @param images how many there are */
export function adaptedVoxels(
  voxels: SampleVoxels,
  { type, clip, offset, scale, repeat }: Omit<ImageAdapter, 'input' | 'shape'>,
  images = 1,
): Float32Array | Int16Array {
  const { low, high } = clip ?? { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const valueAt = (value: number) => (Math.min(Math.max(value, low), high) - offset) * scale;
  const [length, each] = [voxels.length * repeat, voxels.length / images];
  const at = (_: unknown, i: number) => valueAt(voxels[Math.floor(i / (each * repeat)) * each + (i % each)]!);
  return type === 'int16'
    ? Int16Array.from({ length }, (_, i) => toInt16(at(_, i)))
    : Float32Array.from({ length }, at);
}
