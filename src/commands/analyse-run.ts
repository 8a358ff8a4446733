import { contrastiveLoss } from '../analysis/contrastive.js';
import { type CosineSeparation, cosineSeparation } from '../analysis/cosine.js';
import type { PartFeatures } from '../analysis/features.js';
import { nearestNeighbourAccuracy } from '../analysis/neighbours.js';
import type { Config } from '../config/pretraining.js';
import { microBatches } from '../config/training.js';
import { validationBatches } from '../data/loading/batches.js';
import { loadParts, type PartSample } from '../data/proxies/parts2whole/part-batch.js';
import { samplePart } from '../data/proxies/parts2whole/parts.js';
import { type TileStore, tilesOf } from '../data/store/tiles.js';
import { readWhole } from '../data/store/wholes.js';
import { randomStream } from '../random.js';
import type { CheckpointScores } from '../report/data.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import type { Evaluator, FeatureExtractor } from '../train/evaluator.js';
import { samplingOptions } from '../train/proxy.js';

/** Pairs of each kind a whole (Fig. 2b). */
const PAIRS = 100;
/** Tests a whole, negatives a test, temperature (Fig. 2c). */
export const CONTRASTIVE = { tests: 100, negatives: 5000, temperature: 0.7 };
/** Training wholes that the mean whole is made of at most. */
const MEAN_OF = 2000;

/** Numbers spread evenly over 0 … count−1, first and last included. */
export const spreadOver = (count: number, wanted: number): number[] =>
  count <= wanted
    ? Array.from({ length: count }, (_, i) => i)
    : Array.from({ length: wanted }, (_, i) => Math.round((i * (count - 1)) / (wanted - 1)));

/** The wholes that validation asks for: Models Genesis flips some of them. */
function* validationWholes(store: TileStore, config: Config): Generator<Float32Array> {
  const { proxy, whole, window, validation } = config;
  const tiles = tilesOf(store, 'validation');
  if (proxy === 'parts2whole') {
    for (const tile of spreadOver(store.validation.length, validation.samples))
      yield readWhole(tiles, tile, whole, window);
    return;
  }
  for (const batch of validationBatches(tiles, { ...samplingOptions(config), limit: validation.samples })) {
    if (batch.proxy !== 'genesis') continue;
    const voxels = batch.targets.length / batch.size;
    for (let i = 0; i < batch.used; i++) yield batch.targets.subarray(i * voxels, (i + 1) * voxels);
  }
}

/** Mean squared error, over the validation wholes, of always answering with the mean of the training wholes. */
export function meanWholeMse(store: TileStore, config: Config): number {
  const tiles = tilesOf(store, 'train');
  const training = spreadOver(tiles.count, MEAN_OF);
  const mean = new Float64Array(config.whole[0] * config.whole[1] * config.whole[2]);
  for (const tile of training)
    for (const [i, value] of readWhole(tiles, tile, config.whole, config.window).entries())
      mean[i]! += value / training.length;
  const errors: number[] = [];
  for (const whole of validationWholes(store, config))
    errors.push(whole.reduce((sum, value, i) => sum + (value - mean[i]!) ** 2, 0) / whole.length);
  return errors.reduce((a, b) => a + b, 0) / errors.length;
}

/** The same parts of the same validation wholes for every checkpoint. */
export function analysisParts(store: TileStore, config: Config, wholes: number, parts: number): PartSample[] {
  return spreadOver(store.validation.length, wholes).flatMap((tile) =>
    Array.from({ length: parts }, (_, p) => ({
      tile,
      part: samplePart(randomStream(config.seed, 'analysis part', tile, p), store.size, config.part),
    })),
  );
}

/** Features of all analysis parts under one checkpoint. */
async function partFeatures(
  extractor: FeatureExtractor,
  store: TileStore,
  config: Config,
  samples: readonly PartSample[],
  parts: number,
  { tensors }: Checkpoint,
): Promise<PartFeatures> {
  const { size } = microBatches(config);
  const { dimensions } = extractor;
  const tiles = tilesOf(store, 'validation');
  const values = new Float32Array(samples.length * dimensions);
  for (let first = 0; first < samples.length; first += size) {
    // A short last batch is filled up with its last sample.
    const group = Array.from({ length: size }, (_, i) => samples[Math.min(first + i, samples.length - 1)]!);
    const rows = await extractor.features(
      loadParts(tiles, { wholeSize: config.whole, part: config.part }, group, first),
      tensors,
    );
    values.set(rows.subarray(0, Math.min(size, samples.length - first) * dimensions), first * dimensions);
  }
  return { wholes: samples.length / parts, partsPerWhole: parts, dimensions, values };
}

export interface Analysed {
  readonly scores: CheckpointScores;
  readonly cosine: CosineSeparation;
}

/** What every checkpoint is analysed with. */
export interface AnalysisTools {
  readonly evaluator: Evaluator;
  readonly extractor: FeatureExtractor;
  readonly store: TileStore;
  readonly config: Config;
  readonly samples: readonly PartSample[];
  /** Parts of each whole among the samples. */
  readonly parts: number;
}

/** How well a checkpoint reconstructs, and how well its features tell wholes apart. */
export async function analyseCheckpoint(tools: AnalysisTools, checkpoint: Checkpoint): Promise<Analysed> {
  const { evaluator, extractor, store, config, samples, parts } = tools;
  const features = await partFeatures(extractor, store, config, samples, parts, checkpoint);
  const cosine = cosineSeparation(features, { pairs: PAIRS, seed: config.seed });
  const shape = { ...samplingOptions(config), limit: config.validation.samples };
  const { mse } = await evaluator.validate(
    validationBatches(tilesOf(store, 'validation'), shape),
    checkpoint.tensors,
  );
  const scores = {
    step: checkpoint.state.step,
    validationMse: mse,
    contrastiveLoss: contrastiveLoss(features, { ...CONTRASTIVE, seed: config.seed }),
    nearestNeighbour: nearestNeighbourAccuracy(features),
    cosineAuc: cosine.auc,
  };
  return { scores, cosine };
}
