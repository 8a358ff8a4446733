/** Any ONNX encoder as the frozen source of features. */
import { formatShape, type Model } from '../../graphs/onnx/types.js';
import type { SampleEntry, SampleFormat } from '../data/samples/manifest.js';
import { readSample, type SampleStore, type SampleVoxels } from '../data/samples/store.js';
import { tileNormalisationOf, tileValues } from '../data/samples/values.js';
import { abridged, UserError } from '../errors.js';
import { toInt16 } from '../int16.js';
import { readModelFile } from '../onnx-file.js';
import { type Reporter, silent } from '../progress.js';
import type { Engine, EngineTensor } from '../runtime/engine.js';
import { intensitiesOf } from './model.js';

/** Feature vectors of all samples of a store. */
export interface ExternalFeatures {
  readonly dimensions: number;
  /** By the sample's id. */
  readonly rows: ReadonlyMap<string, Float32Array>;
}

export const isExternalEncoder = (from: string): boolean => /\.onnx$/i.test(from);

const EXPECTED =
  'one image input, [N,D,H,W] in HU or [N,C,D,H,W] with values from 0 to 1, and an output with features or a feature map';

/** The input of images and the output of features. @throws UserError when there are none */
function interfaceOf(path: string, { graph }: Model) {
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const [image, ...others] = inputs;
  const output = graph.outputs.find(({ name }) => name === 'features') ?? graph.outputs[0];
  const rank = image?.shape.length ?? 0;
  if (image && output && others.length === 0 && (rank === 4 || rank === 5)) return { image, output };
  throw new UserError('input', {
    what: 'this model is not an image encoder',
    where: path,
    got: inputs.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ') || 'no inputs',
    expected: EXPECTED,
  });
}

/** @throws UserError when the samples were normalised in another way than an encoder of [N,D,H,W] was trained on */
function checkNormalisation(format: SampleFormat, path: string, { metadata }: Model): void {
  const { normalise } = intensitiesOf(metadata, path);
  const found = tileNormalisationOf(format);
  if (found === normalise) return;
  throw new UserError('input', {
    what: 'the samples are normalised differently from what this encoder takes',
    where: path,
    got: `samples with --normalise ${found}`,
    expected: normalise,
    fix: `p2w prepare --task … --normalise ${normalise}`,
  });
}

/** Values mapped to [0, 1]; those that are there already as they are. */
function normalised(image: SampleVoxels, { window }: SampleFormat): Float32Array {
  if (!window) return Float32Array.from(image);
  const { low, high } = window;
  return Float32Array.from(image, (value) => (Math.min(Math.max(value, low), high) - low) / (high - low));
}

/** A feature map [1,C,…] averaged over its positions. */
function pooled({ data, shape }: EngineTensor): Float32Array {
  const values = data as Float32Array;
  const channels = shape[1] ?? values.length;
  const positions = values.length / channels;
  return Float32Array.from({ length: channels }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < positions; i++) sum += values[c * positions + i]!;
    return sum / positions;
  });
}

/**
 * Runs a model on every sample, one by one. Images [N,D,H,W] are given as our own exports take them, mostly as HU, images
 * [N,C,D,H,W] as values from 0 to 1.
 * @throws UserError when the file is no encoder, or does not take the samples
 */
export async function externalFeatures(
  path: string,
  store: SampleStore,
  engine: Engine,
  threads: number,
  reporter: Reporter = silent,
): Promise<ExternalFeatures> {
  const { bytes, model } = readModelFile(path, EXPECTED);
  if (model.external)
    throw new UserError('input', {
      what: 'the weights of this encoder are in a separate file',
      where: path,
      got: abridged([...new Set(model.external.map(({ location }) => location.file))]),
      expected: 'a model in one file',
      fix: 'convert it in Python with `onnx.save_model(onnx.load("encoder.onnx"), "one-file.onnx")`',
    });
  const { image, output } = interfaceOf(path, model);
  const { manifest } = store;
  const { channels, samples } = manifest;
  const [x, y, z] = manifest.size;
  const takesHu = image.shape.length === 4;
  if (takesHu && channels !== 1)
    throw new UserError('input', {
      what: 'this encoder takes one channel',
      where: path,
      got: `samples with ${channels}`,
    });
  if (takesHu) checkNormalisation(manifest, path, model);
  const shape = takesHu ? [1, z, y, x] : [1, channels, z, y, x];
  const type = image.type === 'int16' ? 'int16' : 'float32';
  const session = await engine.load(bytes, { threads });
  const progress = reporter.start({ label: 'features', total: samples.length, unit: 'samples' });
  const rows = new Map<string, Float32Array>();
  try {
    for (const [i, sample] of samples.entries()) {
      const voxels = readSample(store, sample).image;
      const values = takesHu ? tileValues(voxels, manifest).map(toInt16) : normalised(voxels, manifest);
      const data = type === 'int16' ? Int16Array.from(values, toInt16) : Float32Array.from(values);
      const out = await session.run({ [image.name]: { type, shape, data } });
      rows.set(sample.id, pooled(out[output.name]!));
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
    await session.release();
  }
  return { dimensions: rows.get(samples[0]!.id)!.length, rows };
}

/**
 * Features with mean 0 and standard deviation 1 over some samples, so that layers behind them learn equally fast whatever the
 * encoder's scale is. A feature that is the same for all of them becomes 0 there.
 */
export function standardised(
  { dimensions, rows }: ExternalFeatures,
  samples: readonly SampleEntry[],
): ExternalFeatures {
  const [sums, squares] = [new Float64Array(dimensions), new Float64Array(dimensions)];
  for (const { id } of samples) {
    const row = rows.get(id)!;
    for (let i = 0; i < dimensions; i++) sums[i]! += row[i]!;
  }
  const means = sums.map((sum) => sum / samples.length);
  for (const { id } of samples) {
    const row = rows.get(id)!;
    for (let i = 0; i < dimensions; i++) squares[i]! += (row[i]! - means[i]!) ** 2;
  }
  const scales = squares.map((sum) => 1 / (Math.sqrt(sum / samples.length) || 1));
  const change = (row: Float32Array) => row.map((value, i) => (value - means[i]!) * scales[i]!);
  return { dimensions, rows: new Map([...rows].map(([id, row]) => [id, change(row)])) };
}
