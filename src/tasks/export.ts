import { autoencoderGraph, encoderGraph } from '../../graphs/artifacts/inference.js';
import { plainForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import type { DHW } from '../../graphs/nn/input.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Config } from '../config/pretraining.js';
import { METHODS } from '../config/proxies.js';
import { averagingFactors, repeatVoxels } from '../data/average.js';
import type { PartBatch } from '../data/part-batch.js';
import { partMatrices } from '../data/parts.js';
import type { XYZ } from '../data/volume.js';
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

/** In words. @param average voxels that become one, x, y, z */
const preprocessingOf = ({ hu }: Config, average: XYZ): string =>
  `clipped to [${hu.low}, ${hu.high}] HU, mapped to [0, 1]` +
  (average.some((f) => f > 1) ? `, averaged over blocks of ${average.join('×')} voxels (x×y×z)` : '');

/** What the file says of itself; every value is a string, as ONNX wants. */
function metadataOf(
  config: Config,
  tile: XYZ,
  average: XYZ,
  { state }: Checkpoint,
  license: string,
): Record<string, string> {
  return {
    method: METHODS[config.proxy].description,
    proxy: config.proxy,
    preset: config.preset,
    network: JSON.stringify(config.network),
    training_steps: String(state.step),
    best_validation_mse: state.best ? String(state.best.validationLoss) : '',
    data_manifest_sha256: state.dataHash,
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

/**
 * Writes a checkpoint as a portable model that takes HU: `<what>.onnx`, `weights.safetensors` (unfolded, with
 * the names that Models Genesis' PyTorch code uses in its metadata) and `model-card.md`. The model is run and
 * compared with the training network before anything is written.
 * @throws UserError when there is no such checkpoint, or the two differ by more than 1e-4
 */
export async function exportModel(options: ExportOptions): Promise<ExportSummary> {
  const { config, tile } = readRun(options.run);
  const checkpoint = resolveCheckpoint(options.run, options.checkpoint ?? 'best');
  const what = options.what ?? 'encoder';
  const inputType = options.inputType ?? 'float32';
  refuseBatchStatistics(config.network);
  const license = options.license ?? 'not stated';
  const average = averagingFactors(tile, config.whole)!;
  const metadata = metadataOf(config, tile, average, checkpoint, license);
  const build = what === 'encoder' ? encoderGraph : autoencoderGraph;
  const graph = build(
    {
      network: config.network,
      window: config.hu,
      average: average.toReversed() as unknown as DHW,
      inputType,
    },
    weightsOf(checkpoint),
  );
  const documentation = `Encoder of 3D CT images, pre-trained by ${METHODS[config.proxy].name}. For research, no medical device.`;
  const model = encodeModel(toModel(lower(graph, { choose: plainForms }), { documentation, metadata }));
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
