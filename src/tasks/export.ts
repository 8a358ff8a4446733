import type { Config } from '../config/pretraining.js';
import { averagingFactors, repeatVoxels } from '../data/average.js';
import type { PartBatch } from '../data/part-batch.js';
import { partMatrices } from '../data/parts.js';
import type { XYZ } from '../data/volume.js';
import { inferenceMetadata, inferenceModel } from '../inference/model.js';
import { randomStream } from '../random.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { type Checkpoint, resolveCheckpoint } from '../train/checkpoint.js';
import { createFeatureExtractor } from '../train/evaluator.js';
import { readRun } from '../train/run.js';
import {
  checkedDifference,
  type ExportFiles,
  refuseBatchStatistics,
  weightsOf,
  writeExport,
} from './export-files.js';
import { modelCard } from './model-card.js';

export interface ExportOptions {
  readonly run: string;
  /** `best`, `last`, or the step of a kept checkpoint. */
  readonly checkpoint?: 'best' | 'last' | number;
  readonly what?: 'encoder' | 'autoencoder';
  readonly inputType?: 'float32' | 'int16';
  /** Folder to write into. */
  readonly out: string;
  /** Licence of the weights, for metadata and model card. */
  readonly license?: string;
}

export interface ExportSummary extends ExportFiles {
  readonly step: number;
  /** Largest difference to the training network's features, relative to the largest feature. */
  readonly featureError: number;
}

/**
 * Writes a checkpoint as a portable model that takes HU: `<what>.onnx`, `weights.safetensors` (unfolded, with
 * the names that Models Genesis' PyTorch code uses in its metadata) and `model-card.md`. The model is run and
 * compared with the training network before anything is written.
 * @throws UserError when there is no such checkpoint, or the two differ by more than 1e-4
 * @example
 * const { model } = await exportModel({ run: 'runs/first', out: 'encoder' });
 */
export async function exportModel(options: ExportOptions): Promise<ExportSummary> {
  const { config, tile } = readRun(options.run);
  const checkpoint = resolveCheckpoint(options.run, options.checkpoint ?? 'best');
  const what = options.what ?? 'encoder';
  const inputType = options.inputType ?? 'float32';
  refuseBatchStatistics(config.network);
  const license = options.license ?? 'not stated';
  const average = averagingFactors(tile, config.whole)!;
  const { step, best, dataHash } = checkpoint.state;
  const training = { steps: step, bestMse: best?.validationLoss ?? null, dataHash };
  const metadata = inferenceMetadata(config, tile, training, license);
  const model = inferenceModel(what, { config, average, inputType, metadata }, weightsOf(checkpoint));
  const featureError = await compareFeatures(config, average, checkpoint, model, inputType);

  const card = modelCard({ what, config, inputType, state: checkpoint.state, metadata, featureError });
  const files = writeExport(options.out, what, checkpoint, { model, card, metadata });
  return { ...files, step: checkpoint.state.step, featureError };
}

/** Two images of noise in the HU of a chest, whose parts are the whole of them. */
function noiseBatch(size: XYZ, seed: number): PartBatch {
  const random = randomStream(seed, 'export check');
  const wholes = Int16Array.from({ length: 2 * size[0] * size[1] * size[2] }, () =>
    random.between(-1200, 1200),
  );
  const { depth, height, width } = partMatrices({ start: [0, 0, 0], size }, size, size);
  const twice = (matrix: Float32Array) => Float32Array.of(...matrix, ...matrix);
  const matrices = { depth: twice(depth), height: twice(height), width: twice(width) };
  const sizes = { tile: size, whole: size, box: size };
  const facts = { proxy: 'parts2whole', index: 0, size: 2, used: 2, tiles: [0, 1] } as const;
  return { ...facts, ...sizes, wholes, boxes: wholes, ...matrices, intensity: null };
}

/** Features of one batch of made-up HU by both networks. */
async function compareFeatures(
  config: Config,
  average: XYZ,
  { tensors }: Checkpoint,
  model: Uint8Array,
  inputType: 'float32' | 'int16',
): Promise<number> {
  const part = { ...config.part, scale: [1, 1] as [number, number] };
  const small: Config = { ...config, part, batch: 2, microBatch: null };
  const batch = noiseBatch(config.whole, config.seed);
  const extractor = await createFeatureExtractor(small, config.whole, nodeEngine);
  const session = await nodeEngine.load(model, { threads: config.threads });
  try {
    const state = new Map(
      [...tensors].map(([name, { shape, data }]) => [name, { type: 'float32', shape, data } as EngineTensor]),
    );
    const expected = await extractor.features(batch, state);
    const hu = repeatVoxels(batch.wholes, config.whole, average);
    const data = inputType === 'int16' ? hu : Float32Array.from(hu);
    const shape = [2, ...config.whole.map((size, i) => size * average[i]!).reverse()];
    const got = (await session.run({ hu: { type: inputType, shape, data } })).features!.data as Float32Array;
    return checkedDifference(expected, got);
  } finally {
    await extractor.release();
    await session.release();
  }
}
