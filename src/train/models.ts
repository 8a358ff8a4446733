import type { Built } from '../../graphs/artifacts/built.js';
import { evaluationGraph, featureGraph } from '../../graphs/artifacts/evaluation.js';
import { accumulateGraph, applyGraph, gradientGraph, stepGraph } from '../../graphs/artifacts/training.js';
import { byTable } from '../../graphs/forms/choice.js';
import type { Native } from '../../graphs/forms/form.js';
import { fastForms, plainForms } from '../../graphs/forms/index.js';
import { type Lowering, lower } from '../../graphs/forms/lower.js';
import type { DHW } from '../../graphs/nn/input.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { GraphError } from '../../graphs/onnx/types.js';
import { type ProxyOptions, reconstruction } from '../../graphs/tasks/reconstruction.js';
import type { Config } from '../config.js';
import { largestPart } from '../data/parts.js';
import type { XYZ } from '../data/volume.js';
import { UserError } from '../errors.js';
import type { Engine, Session, SessionOptions } from '../runtime/engine.js';
import { nativeLayout } from './native.js';

/** The graphs of a run, by name. */
export type GraphKind = 'step' | 'accumulate' | 'apply' | 'gradient' | 'evaluation' | 'features';

const depthHeightWidth = ([x, y, z]: XYZ): DHW => [z, y, x];

/** The graph options that a configuration means, for tiles of a given size. */
export function proxyOptions(
  config: Config,
  tile: XYZ,
  batch = config.microBatch ?? config.batch,
): ProxyOptions {
  return {
    batch,
    tile: depthHeightWidth(tile),
    whole: depthHeightWidth(config.whole),
    window: config.hu,
    box: depthHeightWidth(largestPart(tile, config.part)),
    network: config.network,
  };
}

/** Samples that go through the network at once, and how many such groups make a step. */
export function microBatches({ batch, microBatch }: Config): { size: number; count: number } {
  const size = microBatch ?? batch;
  return { size, count: batch / size };
}

/** Builds one of a run's graphs, before lowering. @throws UserError when the tiles do not suit the configuration */
export function buildGraph(kind: GraphKind, config: Config, tile: XYZ): Built {
  const options = proxyOptions(config, tile);
  const task = reconstruction(options);
  try {
    switch (kind) {
      case 'step':
        return stepGraph(task, config);
      case 'accumulate':
        return accumulateGraph(task);
      case 'apply':
        return applyGraph(task, config, microBatches(config).count);
      case 'gradient':
        return gradientGraph(task);
      case 'evaluation':
        return evaluationGraph(task);
      case 'features':
        return featureGraph(options);
    }
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new UserError('config', { what: error.message, where: `the ${kind} graph`, cause: error });
  }
}

/** How a run's graphs are lowered where only the standard's operators may be used. */
export const portable = ({ forms }: Config): Lowering => ({
  choose: forms === 'plain' ? plainForms : fastForms,
});

/**
 * How a run's graphs are lowered for an engine: by the configured forms, with all that the engine offers to them. What
 * has not been tuned takes the forms that are known to be fast.
 */
export async function loweringFor(config: Config, engine: Engine): Promise<Lowering> {
  if (config.forms === 'plain') return portable(config);
  const native = await nativeLayout(engine);
  return { choose: typeof config.forms === 'object' ? byTable(config.forms) : fastForms, native };
}

/** Lowers a graph, and encodes it as a model. */
export const encodeGraph = ({ graph }: Built, lowering: Lowering): Uint8Array =>
  encodeModel(toModel(lower(graph, lowering)));

/** How a run's graphs are loaded: forms for the very engine leave nothing to rewrite. */
export const sessionOptions = ({ threads }: Config, native: Native | null): SessionOptions => ({
  threads,
  rewrite: native ? 'nothing' : 'all',
});

/** Loads one of a run's graphs into an engine, in the forms that are fastest there. */
export async function loadGraph(built: Built, config: Config, engine: Engine): Promise<Session> {
  const lowering = await loweringFor(config, engine);
  return engine.load(encodeGraph(built, lowering), sessionOptions(config, lowering.native ?? null));
}
