/** Networks as portable models that take HU. */

import { plainForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import type { DHW } from '../../graphs/nn/input.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { autoencoderGraph, encoderGraph } from '../../graphs/programs/inference.js';
import type { Config } from '../config/pretraining.js';
import { METHODS } from '../config/proxies.js';
import { averagingFactors } from '../data/average.js';
import type { XYZ } from '../data/volume.js';

/** How the weights of a model came about. */
export interface TrainingFacts {
  readonly steps: number;
  /** Least mean squared error of a validation; null without any. */
  readonly bestMse: number | null;
  /** SHA-256 of what it was trained on; empty when it has none. */
  readonly dataHash: string;
}

/** In words. @param average voxels that become one, x, y, z */
const preprocessingOf = ({ hu }: Config, average: XYZ): string =>
  `clipped to [${hu.low}, ${hu.high}] HU, mapped to [0, 1]` +
  (average.some((f) => f > 1) ? `, averaged over blocks of ${average.join('×')} voxels (x×y×z)` : '');

/** What a model says of itself; every value is a string, as ONNX wants. @param tile voxels that it was trained on */
export function inferenceMetadata(
  config: Config,
  tile: XYZ,
  { steps, bestMse, dataHash }: TrainingFacts,
  license: string,
): Record<string, string> {
  const average = averagingFactors(tile, config.whole)!;
  return {
    method: METHODS[config.proxy].description,
    proxy: config.proxy,
    preset: config.preset,
    network: JSON.stringify(config.network),
    training_steps: String(steps),
    best_validation_mse: bestMse === null ? '' : String(bestMse),
    data_manifest_sha256: dataHash,
    seed: String(config.seed),
    input: 'hu: Hounsfield units, [N, D, H, W]',
    axes: 'D = z (towards the head), H = y (towards the back), W = x (towards the left): LPS, x fastest',
    preprocessing: `inside the model: ${preprocessingOf(config, average)}`,
    size_multiple: average.map((f) => f * 2 ** config.network.levels).join('x'),
    hu_window: JSON.stringify(config.hu),
    average: average.join('x'),
    tile_size: tile.join('x'),
    whole_size: config.whole.join('x'),
    ...(config.proxy === 'parts2whole' ? { part: JSON.stringify(config.part) } : {}),
    license,
    intended_use: 'research; not a medical device',
  };
}

export interface InferenceModel {
  readonly config: Config;
  /** Voxels of the input that are averaged into one, x, y, z. */
  readonly average: XYZ;
  readonly inputType: 'float32' | 'int16';
  readonly metadata: Readonly<Record<string, string>>;
}

/** A trained network as a model of standard operators. @param weights by parameter name */
export function inferenceModel(
  what: 'encoder' | 'autoencoder',
  { config, average, inputType, metadata }: InferenceModel,
  weights: ReadonlyMap<string, Float32Array>,
): Uint8Array {
  const build = what === 'encoder' ? encoderGraph : autoencoderGraph;
  const [x, y, z] = average;
  const shape: DHW = [z, y, x];
  const graph = build({ network: config.network, window: config.hu, average: shape, inputType }, weights);
  const documentation = `Encoder of 3D CT images, pre-trained by ${METHODS[config.proxy].name}. For research, no medical device.`;
  return encodeModel(toModel(lower(graph, { choose: plainForms }), { documentation, metadata }));
}
