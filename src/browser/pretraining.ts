/** Pre-training on one scan, step by step, in a page. */
import type { DeepPartial } from '../config/layers.js';
import { type Config, type PresetName, resolveConfig } from '../config/pretraining.js';
import { fromSettings } from '../config/settings.js';
import { microBatches } from '../config/training.js';
import { batchPlan, checkWholeSize, validationBatches } from '../data/loading/batches.js';
import { proxies } from '../data/proxies/index.js';
import type { Volume, XYZ } from '../data/scan/volume.js';
import { averagingFactors } from '../data/store/block-mean.js';
import { tilesOfVolume } from '../data/store/volume-tiles.js';
import { buildGraph } from '../execution/models.js';
import { inferenceMetadata, inferenceModel, intensitiesOf } from '../inference/model.js';
import type { Engine } from '../runtime/engine.js';
import { createStepper } from '../train/create-stepper.js';
import { createEvaluator } from '../train/evaluator.js';
import { freshState } from '../train/fresh-state.js';
import { batchFeeds, proxyWorkload, samplingOptions } from '../train/proxy.js';
import type { StepResult } from '../train/stepper.js';
import { Turns } from '../train/turns.js';
import { initialize } from '../weights/initialize.js';
import { loadWeights } from '../weights/load-weights.js';
import { decodeSafetensors, encodeSafetensors, type Safetensors } from '../weights/safetensors.js';
import { weightsOf } from '../weights/weights.js';

export interface PretrainingOptions {
  readonly engine: Engine;
  /** Hounsfield units, or with `normalise` `minmax` or `zscore` in the configuration anything else. */
  readonly scan: Volume;
  /** Bytes of a `weights.safetensors` to go on from, which brings its network along; random weights without it. */
  readonly weights?: Uint8Array;
  readonly preset?: PresetName;
  /** Some of the configuration's keys, such as `{ batch: 8, network: { width: 16 } }`. */
  readonly config?: DeepPartial<Config>;
}

/** What a network makes of parts that it is not trained on. */
export interface Validation {
  /** Mean squared error over all of them. */
  readonly mse: number;
  /** Voxels of each image, x, y, z. */
  readonly size: Config['whole'];
  /** Of the first: what the network is given, what it should make of that, what it makes; [D,H,W] in [0,1]. */
  readonly part: Float32Array;
  readonly whole: Float32Array;
  readonly reconstruction: Float32Array;
}

/**
 * Calls wait for those that were made before them. After `release` all of them throw a UserError, and so they do after a step whose loss or
 * gradient was not finite: it has overwritten the weights.
 */
export interface Pretraining {
  readonly config: Config;
  /** How many tiles the scan has. */
  readonly tiles: { readonly training: number; readonly validation: number };
  /** Makes one step, at the configuration's learning rate. */
  step(): Promise<StepResult>;
  validate(): Promise<Validation>;
  /** `weights.safetensors`: for `p2w finetune --init`, `p2w pretrain --init`, or to go on here. */
  weights(): Promise<Uint8Array<ArrayBuffer>>;
  /** `encoder.onnx`, as `p2w export` writes it: takes HU, gives features. */
  encoder(): Promise<Uint8Array>;
  /** Frees what the engine holds, when the calls before have ended. */
  release(): Promise<void>;
}

const NAME = 'weights.safetensors';

/** A file in memory. @throws UserError when it is damaged */
const decode = (bytes: Uint8Array): Safetensors =>
  decodeSafetensors({
    name: NAME,
    bytes: bytes.length,
    read(target, position) {
      const end = position + target.length;
      if (end <= bytes.length) target.set(bytes.subarray(position, end));
      return end <= bytes.length;
    },
  });

/** Settings that make the network that weights are of, where they say it. */
function networkOf({ metadata }: Safetensors): string[] {
  const { normalise, window } = intensitiesOf(metadata, NAME);
  return [
    ...(metadata.network ? [`network=${metadata.network}`] : []),
    ...(metadata.whole_size ? [`whole=${metadata.whole_size}`] : []),
    `normalise=${normalise}`,
    `window=${JSON.stringify(window)}`,
  ];
}

/** Voxels of the tiles that weights were trained on, where they say it. */
const tileOf = (given: Safetensors | null): XYZ | undefined =>
  given?.metadata.tile_size?.split('x').map(Number) as unknown as XYZ | undefined;

/** Pieces as one. */
function concatenated(pieces: readonly ArrayBufferView<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let end = 0;
  for (const { buffer, byteOffset, byteLength } of pieces) {
    all.set(new Uint8Array(buffer, byteOffset, byteLength), end);
    end += byteLength;
  }
  return all;
}

/**
 * Makes ready to train on a scan.
 * @throws UserError when the scan is too small, the weights are of another network, or the engine refuses the graph
 * @example
 * const training = await openPretraining({ engine, scan: await readScan(file), config: { batch: 8 } });
 * const { loss } = await training.step();
 */
export async function openPretraining(options: PretrainingOptions): Promise<Pretraining> {
  const { engine, scan, preset = 'tiny' } = options;
  const given = options.weights ? decode(options.weights) : null;
  const config = resolveConfig({
    preset,
    config: fromSettings(given ? networkOf(given) : [], options.config),
  });
  const tile = tileOf(given) ?? config.whole;
  checkWholeSize(tile, config.whole);
  const { training, validation } = tilesOfVolume(scan, tile, config.normalise);
  const sampling = samplingOptions(config);
  const { count } = microBatches(config);
  const workload = proxyWorkload(config, tile);

  const { parameters } = buildGraph('gradient', workload, config);
  const initial = initialize(parameters, config.seed);
  const load = { source: NAME, parts: ['encoder', 'decoder', 'head'], partial: false } as const;
  const values = given ? loadWeights(parameters, initial, weightsOf(given), load).values : initial;
  const stepper = await createStepper(workload, config, engine, {
    start: freshState(parameters, config, values),
  });
  const evaluator = await createEvaluator(config, tile, engine);

  const turns = new Turns();
  let steps = 0;
  let best: number | null = null;
  const facts = () => inferenceMetadata(config, tile, { steps, bestMse: best, dataHash: '' }, 'not stated');
  const network = async () => {
    const state = await stepper.readState();
    return parameters.map(({ name }) => ({ name, ...state.get(name)! }));
  };

  const step = async () => {
    const batches = Array.from({ length: count }, (_, i) => {
      const index = steps * count + i;
      const planned = batchPlan(index, training.count, sampling);
      return batchFeeds(proxies[config.proxy].load(training, 'train', sampling, planned, index));
    });
    const results = await stepper.run([batches], config.learningRate, steps + 1);
    steps += 1;
    return turns.checked(results, steps)[0]!;
  };
  const validate = async () => {
    const batches = () => validationBatches(validation, { ...sampling, limit: config.validation.samples });
    const { mse } = await evaluator.validate(batches(), await stepper.readState());
    best = Math.min(mse, best ?? Number.POSITIVE_INFINITY);
    const shown = await evaluator.evaluate(batches().next().value!, await stepper.readState());
    const voxels = config.whole.reduce((product, length) => product * length);
    const first = (images: Float32Array) => images.slice(0, voxels);
    return {
      mse,
      size: config.whole,
      part: first(shown.part),
      whole: first(shown.whole),
      reconstruction: first(shown.reconstruction),
    };
  };
  const weights = async () =>
    concatenated(
      encodeSafetensors(
        NAME,
        (await network()).map(({ name, shape, data }) => ({ name, dtype: 'F32' as const, shape, data })),
        facts(),
      ),
    );
  const encoder = async () => {
    const trained = new Map((await network()).map(({ name, data }) => [name, data as Float32Array]));
    const average = averagingFactors(tile, config.whole)!;
    return inferenceModel('encoder', { config, average, inputType: 'float32', metadata: facts() }, trained);
  };

  return {
    config,
    tiles: { training: training.count, validation: validation.count },
    step: () => turns.take(step),
    validate: () => turns.take(validate),
    weights: () => turns.take(weights),
    encoder: () => turns.take(encoder),
    release: () =>
      turns.release(async () => {
        await stepper.release();
        await evaluator.release();
      }),
  };
}
