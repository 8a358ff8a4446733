/** Networks as portable models that take the values of tiles: HU, or what `prepare --normalise` made of them. */
import type { DHW } from '../../graphs/nn/input.js';
import { autoencoderGraph, encoderGraph } from '../../graphs/programs/inference.js';
import type { Config } from '../config/pretraining.js';
import { METHODS } from '../data/proxies/names.js';
import { INTENSITIES, NORMALISATIONS, type Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { averagingFactors } from '../data/store/block-mean.js';
import type { HuWindow } from '../data/store/wholes.js';
import { windowSchema } from '../data/store/wholes.js';
import { UserError } from '../errors.js';
import { portableModel } from '../execution/models.js';

/** How the weights of a model came about. */
export interface TrainingFacts {
  readonly steps: number;
  /** Least mean squared error of a validation; null without any. */
  readonly bestMse: number | null;
  /** SHA-256 of what it was trained on; empty when it has none. */
  readonly dataHash: string;
}

/** In words. @param average voxels that become one, x, y, z */
function preprocessingOf({ normalise, window }: Config, average: XYZ): string {
  const { unit, how } = INTENSITIES[normalise];
  return (
    (how === null ? '' : `outside the model: ${how}; `) +
    `inside the model: clipped to [${window.low}, ${window.high}] ${unit}, mapped to [0, 1]` +
    (average.some((f) => f > 1) ? `, averaged over blocks of ${average.join('×')} voxels (x×y×z)` : '')
  );
}

/** Name of the input: what takes HU says so. */
export const inputName = (normalise: Normalisation): 'hu' | 'image' => (normalise === 'hu' ? 'hu' : 'image');

function parseWindow(text: string, where: string): HuWindow {
  try {
    return windowSchema.parse(JSON.parse(text));
  } catch (cause) {
    const facts = { got: text, expected: 'for example {"low":-1000,"high":1000}' };
    throw new UserError('input', {
      what: 'the window recorded in the file is invalid',
      where,
      ...facts,
      cause,
    });
  }
}

/**
 * What a model of ours says of the values that it takes; models of earlier versions take HU.
 * @param where the model's file
 * @throws UserError when they are normalised in a way that this version does not know, or the window is damaged
 */
export function intensitiesOf(
  metadata: Readonly<Record<string, string>>,
  where: string,
): { readonly normalise: Normalisation; readonly window: HuWindow } {
  const { normalise: name = 'hu', window = metadata.hu_window } = metadata;
  const normalise = NORMALISATIONS.find((known) => known === name);
  if (normalise === undefined)
    throw new UserError('input', {
      what: 'this version does not know how images are normalised for this model',
      where,
      got: name,
      expected: NORMALISATIONS.join(', '),
    });
  return {
    normalise,
    window: window === undefined ? INTENSITIES[normalise].window : parseWindow(window, where),
  };
}

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
    input: `${inputName(config.normalise)}: ${INTENSITIES[config.normalise].unit}, [N, D, H, W]`,
    axes: 'D = z (towards the head), H = y (towards the back), W = x (towards the left): LPS, x fastest',
    normalise: config.normalise,
    preprocessing: preprocessingOf(config, average),
    size_multiple: average.map((f) => f * 2 ** config.network.levels).join('x'),
    window: JSON.stringify(config.window),
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
  const { network, window, normalise } = config;
  const graph = build({ network, input: inputName(normalise), window, average: shape, inputType }, weights);
  const documentation = `Encoder of 3D ${normalise === 'hu' ? 'CT ' : ''}images, pre-trained by ${METHODS[config.proxy].name}. For research use only; not a medical device.`;
  return portableModel(graph, { documentation, metadata });
}
