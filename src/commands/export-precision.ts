/** What becomes of an exported float32 model before it is written: its precision, and the self-test that it carries. */
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { openSampleStore, readSample } from '../data/samples/store.js';
import type { XYZ } from '../data/scan/volume.js';
import { openTileStore, readTile } from '../data/store/tiles.js';
import { refuseIdle, UserError } from '../errors.js';
import {
  checkPrecision,
  comparePrecisions,
  type Precision,
  type PrecisionReport,
  USUAL_ERROR,
  withPrecision,
} from '../inference/precision.js';
import { sealed, withSelfTest } from '../inference/self-test.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';

/** Real images: some that int8 is calibrated on, and others that results are compared on. */
export interface RealImages {
  readonly calibration: readonly EngineTensor[];
  readonly comparison: readonly EngineTensor[];
}

export interface PrecisionOptions {
  /** Of the model: float32 without it. */
  readonly precision?: Precision;
  /**
   * Tile or sample store with real images, for every precision but float32: the training split calibrates int8, the validation split (the
   * training split where there is none) is compared.
   */
  readonly data?: string;
  /** Largest relative RMS difference of an output to float32's; 0.1 for int8 and 0.01 for the others without it. */
  readonly maxError?: number;
}

/** So many images calibrate, and are compared, at most. */
const CALIBRATION = 16;
const COMPARISON = 8;

/** At most so many of a list, evenly spread. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  list.length <= count
    ? [...list]
    : Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]!);

/** Training images and others of a list. @throws UserError when there is none */
function split<T>(
  where: string,
  train: readonly T[],
  others: readonly T[],
  read: (item: T) => EngineTensor,
): RealImages {
  if (train.length + others.length === 0)
    throw new UserError('data', { what: 'the store has no images to compare results on', where });
  const [calibrate, compare] = [train.length > 0 ? train : others, others.length > 0 ? others : train];
  return {
    calibration: spread(calibrate, CALIBRATION).map(read),
    comparison: spread(compare, COMPARISON).map(read),
  };
}

const asType = (
  type: 'float32' | 'int16',
  shape: readonly number[],
  data: Int16Array | Float32Array,
): EngineTensor => ({ type, shape, data: type === 'int16' ? data : Float32Array.from(data) });

/** Tiles as an encoder takes them. @throws UserError when they are of another size or other values than it was trained on */
export function tileImages(
  folder: string,
  tile: XYZ,
  normalise: string,
  type: 'float32' | 'int16',
): RealImages {
  const store = openTileStore(folder);
  const found = store.manifest.options.normalise;
  if (found !== normalise || store.size.some((size, i) => size !== tile[i]))
    throw new UserError('data', {
      what: 'these tiles are not like those that the network was trained on',
      where: folder,
      got: `${store.size.join('×')} voxels, normalise ${found}`,
      expected: `${tile.join('×')} voxels, normalise ${normalise}`,
    });
  const [x, y, z] = tile;
  return split(folder, store.train, store.validation, (ref) =>
    asType(type, [1, z, y, x], readTile(store, ref)),
  );
}

/** Samples as a classifier or segmenter takes them. @throws UserError when they are of another format than it was trained on */
export function sampleImages(folder: string, format: SampleFormat, type: 'float32' | 'int16'): RealImages {
  const store = openSampleStore(folder);
  const { manifest } = store;
  const facts = ({ channels, size, type: values, window }: SampleFormat) =>
    `${channels} channels of ${size.join('×')} voxels, ${values}, window ${JSON.stringify(window)}`;
  if (facts(manifest) !== facts(format))
    throw new UserError('data', {
      what: 'these samples are not like those that the network was trained on',
      where: folder,
      got: facts(manifest),
      expected: facts(format),
    });
  const of = (name: string) => manifest.samples.filter((sample) => sample.split === name);
  const [x, y, z] = format.size;
  return split(folder, of('train'), of('validation'), (sample) =>
    asType(type, [1, format.channels, z, y, x], readSample(store, sample).image),
  );
}

/**
 * The model that is written: in the precision that is asked for, compared with float32 on real images, with a self-test.
 * @param float32 the model as bytes, without a self-test
 * @param images reads them; not called for float32
 * @throws UserError when there are no images to compare on, or the difference is too large
 */
export async function finishModel(
  float32: Uint8Array,
  { precision = 'float32', data, maxError }: PrecisionOptions,
  images: (folder: string) => RealImages,
  threads: number,
): Promise<{ model: Uint8Array; precision: PrecisionReport | null }> {
  const base = decodeModel(float32);
  if (maxError !== undefined && !(maxError > 0))
    throw new UserError('usage', {
      what: 'this must be a positive number',
      where: '--max-error',
      got: String(maxError),
    });
  if (precision === 'float32') {
    refuseIdle('float32, which is not compared with itself', { '--data': data, '--max-error': maxError });
    return { model: sealed(encodeModel(await withSelfTest(base, nodeEngine))), precision: null };
  }
  if (data === undefined)
    throw new UserError('usage', {
      what: `${precision} needs real images, to compare its results with those of float32`,
      where: '--data',
      fix: 'add --data with the folder of tiles or samples that the run was trained on',
    });
  const { calibration, comparison } = images(data);
  const changed = await withPrecision(base, precision, calibration, nodeEngine, threads);
  const report = await comparePrecisions(base, changed, comparison, nodeEngine, threads);
  checkPrecision(report, maxError ?? USUAL_ERROR[precision]);
  return { model: sealed(encodeModel(await withSelfTest(changed, nodeEngine))), precision: report };
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
const milliseconds = (seconds: number) => `${(1000 * seconds).toFixed(1)} ms`;

/** What a precision costs and brings, in one line. */
export function formatPrecision(report: PrecisionReport): string {
  const { precision, error, changedDecisions, images, bytes, float32Bytes, seconds, float32Seconds } = report;
  const ratio = float32Seconds / seconds;
  const speed =
    ratio >= 1 ? `${ratio.toFixed(2)} × as fast` : `slower on this machine: ${ratio.toFixed(2)} × the speed`;
  const decisions =
    changedDecisions === null
      ? ''
      : `, ${(100 * changedDecisions).toPrecision(2)} % of probabilities on the other side of 0.5`;
  // What differs in nothing but how it is stored takes as long: a difference would be noise.
  const time =
    precision === 'float16-weights'
      ? ''
      : `; ${milliseconds(seconds)} instead of ${milliseconds(float32Seconds)} an image (${speed})`;
  return (
    `${precision}: relative RMS difference to float32 ${error.toExponential(1)} on ${images} real images${decisions}; ` +
    `${megabytes(bytes)} instead of ${megabytes(float32Bytes)}${time}`
  );
}
