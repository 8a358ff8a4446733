import type { Config } from '../config/pretraining.js';
import type { PartBatch } from '../data/proxies/parts2whole/part-batch.js';
import { partMatrices } from '../data/proxies/parts2whole/parts.js';
import { INTENSITIES, type Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { sha256 } from '../data/store/arrays.js';
import { averagingFactors, repeatVoxels } from '../data/store/block-mean.js';
import { inferenceMetadata, inferenceModel, inputName } from '../inference/model.js';
import type { PrecisionReport } from '../inference/precision.js';
import { randomStream } from '../random.js';
import { type Checkpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { readRun, runHash } from '../runs/run.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { createFeatureExtractor } from '../train/evaluator.js';
import { refuseBatchStatistics } from './batch-statistics.js';
import { trainingScans } from './data-counts.js';
import {
  checkedDifference,
  type ExportFiles,
  refuseOverwriting,
  weightsOf,
  writeExport,
} from './export-files.js';
import { finishModel, type PrecisionOptions, tileImages } from './export-precision.js';
import { modelCard } from './model-card.js';

export interface ExportOptions extends PrecisionOptions {
  readonly run: string;
  /** `best`, `last`, or the step of a kept checkpoint. */
  readonly checkpoint?: 'best' | 'last' | number;
  readonly what?: 'encoder' | 'autoencoder';
  readonly inputType?: 'float32' | 'int16';
  /** Folder to write into. */
  readonly out: string;
  /** Replace the export of another run; one of the same run is replaced anyway. */
  readonly overwrite?: boolean;
  /** Licence of the weights, for metadata and model card. */
  readonly license?: string;
  /** Folder of a Triton model repository, into which the model is written as well. */
  readonly triton?: string;
}

export interface ExportSummary extends ExportFiles {
  readonly step: number;
  /** Largest difference of the float32 model's features to the training network's, relative to the largest feature. */
  readonly featureError: number;
  /** What another precision costs and brings; null for float32. */
  readonly precision: PrecisionReport | null;
}

/**
 * Writes a checkpoint as a portable model that takes what it was trained on, mostly HU: `<what>.onnx`, `weights.safetensors` (unfolded, with
 * the names that Models Genesis' PyTorch code uses in its metadata) and `model-card.md`. The model is run and
 * compared with the training network before anything is written.
 * @throws UserError when there is no such checkpoint, the folder holds the export of another run, or the two differ by more than 1e-4
 * @example
 * const { model } = await exportModel({ run: 'runs/first', out: 'encoder' });
 */
export async function exportModel(options: ExportOptions): Promise<ExportSummary> {
  const { config, tile, data } = readRun(options.run);
  const checkpoint = resolveCheckpoint(options.run, options.checkpoint ?? 'best');
  const what = options.what ?? 'encoder';
  const inputType = options.inputType ?? 'float32';
  refuseBatchStatistics(config.network, 'exported');
  const run = runHash(config, checkpoint.state.dataHash);
  if (!options.overwrite) refuseOverwriting(options.out, run);
  const license = options.license ?? 'not stated';
  const average = averagingFactors(tile, config.whole)!;
  const { step, best, dataHash } = checkpoint.state;
  const training = { steps: step, bestMse: best?.validationLoss ?? null, dataHash };
  const metadata = { ...inferenceMetadata(config, tile, training, license), run_sha256: run };
  const float32 = inferenceModel(what, { config, average, inputType, metadata }, weightsOf(checkpoint));
  const featureError = await compareFeatures(config, average, checkpoint, float32, inputType);
  const { model, precision } = await finishModel(
    float32,
    options,
    (folder) => tileImages(folder, tile, config.normalise, inputType),
    config.threads,
  );
  const card = modelCard({
    ...{ what, config, inputType, state: checkpoint.state, scans: trainingScans({ data }, dataHash) },
    ...{ metadata, featureError, precision, sha256: sha256(model) },
  });
  const files = writeExport(options.out, what, checkpoint, {
    ...{ model, card, metadata },
    precision: options.precision,
    triton: options.triton,
  });
  return { ...files, step: checkpoint.state.step, featureError, precision };
}

/** Two images of noise, a little beyond the usual window, whose parts are the whole of them. */
function noiseBatch(size: XYZ, normalise: Normalisation, seed: number): PartBatch {
  const random = randomStream(seed, 'export check');
  const { low, high } = INTENSITIES[normalise].window;
  const beyond = (high - low) / 10;
  const wholes = Int16Array.from({ length: 2 * size[0] * size[1] * size[2] }, () =>
    random.between(low - beyond, high + beyond),
  );
  const { depth, height, width } = partMatrices({ start: [0, 0, 0], size }, size, size);
  const twice = (matrix: Float32Array) => Float32Array.of(...matrix, ...matrix);
  const matrices = { depth: twice(depth), height: twice(height), width: twice(width) };
  const sizes = { tile: size, whole: size, box: size };
  const facts = { proxy: 'parts2whole', index: 0, size: 2, used: 2, tiles: [0, 1] } as const;
  return { ...facts, ...sizes, wholes, boxes: wholes, ...matrices, intensity: null };
}

/** Features of one batch of made-up images by both networks. */
async function compareFeatures(
  config: Config,
  average: XYZ,
  { tensors }: Checkpoint,
  model: Uint8Array,
  inputType: 'float32' | 'int16',
): Promise<number> {
  const part = { ...config.part, scale: [1, 1] as [number, number] };
  const small: Config = { ...config, part, batch: 2, microBatch: null };
  const batch = noiseBatch(config.whole, config.normalise, config.seed);
  const extractor = await createFeatureExtractor(small, config.whole, nodeEngine);
  const session = await nodeEngine.load(model, { threads: config.threads });
  try {
    const state = new Map(
      [...tensors].map(([name, { shape, data }]) => [name, { type: 'float32', shape, data } as EngineTensor]),
    );
    const expected = await extractor.features(batch, state);
    const values = repeatVoxels(batch.wholes, config.whole, average);
    const data = inputType === 'int16' ? values : Float32Array.from(values);
    const shape = [2, ...config.whole.map((size, i) => size * average[i]!).reverse()];
    const image = { type: inputType, shape, data };
    const { features } = await session.run({ [inputName(config.normalise)]: image });
    const got = features!.data as Float32Array;
    return checkedDifference(expected, got);
  } finally {
    await extractor.release();
    await session.release();
  }
}
