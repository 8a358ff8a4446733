import { featureChannels } from '../../graphs/models/unet3d.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import type { BuiltGraph } from '../../graphs/programs/built.js';
import type { Config } from '../config/pretraining.js';
import { microBatches } from '../config/training.js';
import type { Batch } from '../data/proxies/index.js';
import type { PartBatch } from '../data/proxies/parts2whole/part-batch.js';
import type { XYZ } from '../data/scan/volume.js';
import { alone, type Ranks } from '../distributed/ranks.js';
import { loadWeighted } from '../execution/inference-session.js';
import { buildGraph, loadGraph } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, Tensors } from '../runtime/engine.js';
import { outputDeviation, outputSpread } from './output-deviation.js';
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

/** Runs a network without training it, on the parameters of any state. */
export interface Evaluator {
  /** @param ranks that share the samples; `batches` are those of this one, which may be none */
  validate(batches: Iterable<Batch>, state: State, ranks?: Ranks): Promise<ProxyValidation>;
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

/** Loads the evaluation graph of a run. */
export async function createEvaluator(config: Config, tile: XYZ, engine: Engine): Promise<Evaluator> {
  const { run, release } = await load(
    buildGraph('evaluation', proxyWorkload(config, tile), config),
    config,
    engine,
  );
  const voxels = sizeOf(config.whole);
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
    async validate(batches, state, ranks = alone) {
      let loss = 0;
      const outputs = outputSpread(voxels);
      for (const batch of batches) {
        const { losses, reconstruction } = await evaluate(batch, state);
        // The last batch is filled up with repeats, which do not count.
        for (let i = 0; i < batch.used; i++) {
          loss += losses[i]!;
          outputs.add(reconstruction.subarray(i * voxels, (i + 1) * voxels));
        }
      }
      const parts = await ranks.gather({ loss, samples: outputs.samples });
      const total = (key: 'loss' | 'samples') => parts.reduce((sum, part) => sum + part[key], 0);
      const deviation = await outputDeviation(ranks, outputs);
      return {
        ...{ mse: total('loss') / total('samples'), samples: total('samples') },
        ...(deviation !== undefined && { outputDeviation: deviation }),
      };
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
