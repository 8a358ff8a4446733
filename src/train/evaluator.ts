import { featureChannels } from '../../graphs/models/unet3d.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import type { BuiltGraph } from '../../graphs/programs/built.js';
import type { Config } from '../config/pretraining.js';
import { microBatches } from '../config/training.js';
import type { Batch } from '../data/proxies/index.js';
import type { PartBatch } from '../data/proxies/parts2whole/part-batch.js';
import type { XYZ } from '../data/scan/volume.js';
import { loadWeighted } from '../execution/inference-session.js';
import { buildGraph, loadGraph } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, Tensors } from '../runtime/engine.js';
import { batchFeeds, buildFeatureGraph, proxyWorkload } from './proxy.js';

/** What the network makes of one batch, sample by sample. */
export interface Evaluation {
  /** Mean squared error of each sample. */
  readonly losses: Float32Array;
  /** [N,1,D,H,W] in [0,1]: what the network was given, what it should make of that, what it makes. */
  readonly part: Float32Array;
  readonly whole: Float32Array;
  readonly reconstruction: Float32Array;
}

/** How well a network does on some samples. */
export interface ProxyValidation {
  /** Mean squared error over all of them. */
  readonly mse: number;
  readonly samples: number;
  /** How much outputs differ between samples: 0 when the network has collapsed. Of a single sample it cannot be told. */
  readonly outputDeviation?: number;
}

/** What several ranks have found, each on its share of the samples, which may be none. */
export function joinValidations(parts: readonly ProxyValidation[]): ProxyValidation {
  const found = parts.filter(({ samples }) => samples > 0);
  if (found.length === 1) return found[0]!;
  const samples = found.reduce((sum, part) => sum + part.samples, 0);
  const deviations = found.flatMap(({ outputDeviation = [] }) => outputDeviation);
  return {
    mse: found.reduce((sum, part) => sum + part.mse * part.samples, 0) / samples,
    samples,
    ...(deviations.length > 0 && { outputDeviation: Math.max(...deviations) }),
  };
}

/** Runs a network without training it, on the parameters of any state. */
export interface Evaluator {
  validate(batches: Iterable<Batch>, state: State): Promise<ProxyValidation>;
  evaluate(batch: Batch, state: State): Promise<Evaluation>;
  release(): Promise<void>;
}

export interface FeatureExtractor {
  /** Length of a feature vector. */
  readonly dimensions: number;
  /** [N, dimensions], one row a sample. */
  features(batch: PartBatch, state: State): Promise<Float32Array>;
  release(): Promise<void>;
}

/** A {@link FeatureExtractor} of one state. */
export interface WeightedExtractor extends Omit<FeatureExtractor, 'features'> {
  /** [N, dimensions], one row a sample. */
  features(batch: PartBatch): Promise<Float32Array>;
}

/** Loads one of a run's graphs that only read the parameters. */
async function load(built: BuiltGraph, config: Config, engine: Engine) {
  const session = await loadGraph(built, config, engine);
  const names = built.parameters.map(({ name }) => name).filter((name) => session.inputs.includes(name));
  const run = (batch: Batch, state: State): Promise<Tensors> =>
    session.run({
      ...batchFeeds(batch),
      ...Object.fromEntries(names.map((name) => [name, state.get(name)!])),
    });
  return { run, release: () => session.release() };
}

/** Standard deviation over samples of each voxel's output, averaged over voxels, of outputs that come one by one. */
function outputSpread() {
  let samples = 0;
  let sums = new Float64Array();
  let squares = new Float64Array();
  return {
    add(output: Float32Array): void {
      if (samples === 0) [sums, squares] = [new Float64Array(output.length), new Float64Array(output.length)];
      samples++;
      for (let v = 0; v < output.length; v++) {
        const value = output[v]!;
        sums[v]! += value;
        squares[v]! += value * value;
      }
    },
    /** `undefined` with fewer than two samples. */
    deviation(): number | undefined {
      if (samples < 2) return undefined;
      const total = squares.reduce(
        (sum, square, v) => sum + Math.sqrt(Math.max(0, square / samples - (sums[v]! / samples) ** 2)),
        0,
      );
      return total / squares.length;
    },
  };
}

/** Loads the evaluation graph of a run. */
export async function createEvaluator(config: Config, tile: XYZ, engine: Engine): Promise<Evaluator> {
  const { run, release } = await load(
    buildGraph('evaluation', proxyWorkload(config, tile), config),
    config,
    engine,
  );
  const evaluate = async (batch: Batch, state: State): Promise<Evaluation> => {
    const result = await run(batch, state);
    const values = (name: string) => result[name]!.data as Float32Array;
    return {
      losses: values('loss'),
      part: values('part'),
      whole: values('whole'),
      reconstruction: values('reconstruction'),
    };
  };
  return {
    evaluate,
    async validate(batches, state) {
      let sum = 0;
      let count = 0;
      const outputs = outputSpread();
      for (const batch of batches) {
        const { losses, reconstruction } = await evaluate(batch, state);
        const voxels = reconstruction.length / batch.size;
        // The last batch is filled up with repeats, which do not count.
        for (let i = 0; i < batch.used; i++) {
          sum += losses[i]!;
          outputs.add(reconstruction.subarray(i * voxels, (i + 1) * voxels));
        }
        count += batch.used;
      }
      const outputDeviation = outputs.deviation();
      return { mse: sum / count, samples: count, ...(outputDeviation !== undefined && { outputDeviation }) };
    },
    release,
  };
}

/** Loads a run's encoder, for parts. */
export async function createFeatureExtractor(
  config: Config,
  tile: XYZ,
  engine: Engine,
): Promise<FeatureExtractor> {
  const { run, release } = await load(buildFeatureGraph(config, tile), config, engine);
  return {
    dimensions: featureChannels(config.network),
    features: async (batch, state) => (await run(batch, state)).features!.data as Float32Array,
    release,
  };
}

/**
 * Loads a run's encoder, for parts, with the weights of one state: it takes longer to load than {@link createFeatureExtractor}, and
 * less to run, as what depends on weights alone is computed once.
 */
export async function openWeightedExtractor(
  config: Config,
  tile: XYZ,
  engine: Engine,
  state: State,
): Promise<WeightedExtractor> {
  const weights = new Map([...state].map(([name, { data }]) => [name, data as Float32Array]));
  const { graph } = buildFeatureGraph(config, tile, weights);
  const voxels = microBatches(config).size * sizeOf(config.whole);
  const session = await loadWeighted(graph, voxels, config, engine);
  return {
    dimensions: featureChannels(config.network),
    features: async (batch) => (await session.run(batchFeeds(batch))).features!.data as Float32Array,
    release: () => session.release(),
  };
}
