import { contrastiveLosses } from '../analysis/contrastive.js';
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
import type { Engine } from '../runtime/engine.js';
import { spreadEvenly, spreadOver } from '../spread.js';
import { type Evaluator, openWeightedExtractor } from '../train/evaluator.js';
import { samplingOptions } from '../train/proxy.js';

/** Pairs of each kind a whole (Fig. 2b). */
const PAIRS = 100;
/** Tests a whole, negatives a test, temperature (Fig. 2c). */
export const CONTRASTIVE = { tests: 100, negatives: 5000, temperature: 0.7 };
/** Training wholes that the mean whole is made of at most. */
const MEAN_OF = 2000;

/** The wholes that validation asks for: Models Genesis flips some of them. */
function* validationWholes(store: TileStore, config: Config): Generator<Float32Array> {
  const { proxy, whole, window, validation } = config;
  const tiles = tilesOf(store, 'validation');
  if (proxy === 'parts2whole') {
    for (const tile of spreadEvenly(store.validation.length, validation.samples))
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
  { engine, store, config, samples, parts }: AnalysisTools,
  { tensors }: Checkpoint,
): Promise<PartFeatures> {
  const { size } = microBatches(config);
  const extractor = await openWeightedExtractor(config, store.size, engine, tensors);
  try {
    const { dimensions } = extractor;
    const tiles = tilesOf(store, 'validation');
    const values = new Float32Array(samples.length * dimensions);
    for (let first = 0; first < samples.length; first += size) {
      // A short last batch is filled up with its last sample.
      const group = Array.from({ length: size }, (_, i) => samples[Math.min(first + i, samples.length - 1)]!);
      const rows = await extractor.features(
        loadParts(tiles, { wholeSize: config.whole, part: config.part }, group, first),
      );
      values.set(rows.subarray(0, Math.min(size, samples.length - first) * dimensions), first * dimensions);
    }
    return { wholes: samples.length / parts, partsPerWhole: parts, dimensions, values };
  } finally {
    await extractor.release();
  }
}

export interface Analysed {
  readonly scores: CheckpointScores;
  readonly cosine: CosineSeparation;
}

/** What every checkpoint is analysed with. */
export interface AnalysisTools {
  readonly evaluator: Evaluator;
  readonly engine: Engine;
  readonly store: TileStore;
  readonly config: Config;
  readonly samples: readonly PartSample[];
  /** Parts of each whole among the samples. */
  readonly parts: number;
}

/** A checkpoint whose features are known. */
interface Encoded {
  readonly step: number;
  readonly validationMse: number;
  readonly features: PartFeatures;
}

/**
 * How well a checkpoint reconstructs, and its features.
 * @param recorded errors that training found on the same tiles, by step
 */
async function encodeCheckpoint(
  tools: AnalysisTools,
  checkpoint: Checkpoint,
  recorded: ReadonlyMap<number, number>,
): Promise<Encoded> {
  const { step, dataHash } = checkpoint.state;
  const { evaluator, store, config } = tools;
  const features = await partFeatures(tools, checkpoint);
  const known = dataHash === store.hash ? recorded.get(step) : undefined;
  if (known !== undefined) return { step, validationMse: known, features };
  const shape = { ...samplingOptions(config), limit: config.validation.samples };
  const batches = validationBatches(tilesOf(store, 'validation'), shape);
  const { mse } = await evaluator.validate(batches, checkpoint.tensors);
  return { step, validationMse: mse, features };
}

/**
 * How well checkpoints reconstruct, and how well their features tell wholes apart.
 * @param checkpoints are loaded one after the other, as they are asked for
 * @param recorded errors that training found on its validation tiles, by step
 * @param onProgress after each of them
 */
export async function analyseCheckpoints(
  tools: AnalysisTools,
  checkpoints: Iterable<Checkpoint>,
  recorded: ReadonlyMap<number, number>,
  onProgress: (done: number) => void,
): Promise<Analysed[]> {
  const encoded: Encoded[] = [];
  for (const checkpoint of checkpoints) {
    encoded.push(await encodeCheckpoint(tools, checkpoint, recorded));
    onProgress(encoded.length);
  }
  const { seed } = tools.config;
  const losses = contrastiveLosses(
    encoded.map(({ features }) => features),
    { ...CONTRASTIVE, seed },
  );
  return encoded.map(({ step, validationMse, features }, i) => {
    const cosine = cosineSeparation(features, { pairs: PAIRS, seed });
    const scores = {
      ...{ step, validationMse, contrastiveLoss: losses[i]!, cosineAuc: cosine.auc },
      nearestNeighbour: nearestNeighbourAccuracy(features),
    };
    return { scores, cosine };
  });
}
