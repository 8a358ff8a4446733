import type { ChooseForm } from '../../../graphs/forms/index.js';
import type { DHW } from '../../../graphs/nn/input.js';
import { reconstruction } from '../../../graphs/objectives/reconstruction.js';
import type { BuiltGraph } from '../../../graphs/programs/built.js';
import { gradientGraph } from '../../../graphs/programs/training.js';
import { type Box, partMatrices } from '../../../src/data/proxies/parts2whole/parts.js';
import type { XYZ } from '../../../src/data/scan/volume.js';
import type { Engine, EngineTensor } from '../../../src/runtime/engine.js';
import { runGraph } from '../run.js';
import { type Comparison, compareGradients, parameterFeeds, readGolden } from './golden.js';

/** Networks of the method whose gradients PyTorch computed. */
export const GOLDEN_NETWORKS = ['nearest', 'nearest-skip', 'deconv-skip', 'deep'] as const;

/** What decides a network and its batch. */
export interface Config {
  width: number;
  levels: number;
  skip: boolean;
  upsampling: 'nearest' | 'deconv';
  batch: number;
  tile: DHW;
  whole: DHW;
  boxes: Box[];
}

const xyz = ([z, y, x]: DHW): XYZ => [x, y, z];

/** The matrices of all samples, one behind the other. */
function partFeeds({ boxes, batch, tile, whole }: Config): Record<string, EngineTensor> {
  const parts = boxes.map((box) => partMatrices(box, xyz(tile), xyz(whole)));
  const join = (key: 'depth' | 'height' | 'width') =>
    Float32Array.from(parts.flatMap((part) => [...part[key]]));
  return {
    part_depth: { type: 'float32', shape: [batch, whole[0], tile[0]], data: join('depth') },
    part_height: { type: 'float32', shape: [batch, whole[1], tile[1]], data: join('height') },
    part_width: { type: 'float32', shape: [batch, tile[2], whole[2]], data: join('width') },
  };
}

export const networkOf = (config: Config) =>
  gradientGraph(
    reconstruction({
      batch: config.batch,
      tile: config.tile,
      whole: config.whole,
      window: { low: -1000, high: 1000 },
      network: { ...config, norm: { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } },
    }),
  );

/** Everything that the graph takes. */
export const feedsOf = (
  config: Config,
  { graph, parameters }: BuiltGraph,
  hu: Int16Array,
): Record<string, EngineTensor> => ({
  tile: { type: 'int16', shape: [config.batch, ...config.tile], data: hu },
  part_box: { type: 'int16', shape: [config.batch, ...config.tile], data: hu },
  ...partFeeds(config),
  ...parameterFeeds(parameters, graph.inputs),
});

/** Computes loss and gradients of a golden network on an engine, and compares them with PyTorch's. */
export async function compareNetwork(
  name: (typeof GOLDEN_NETWORKS)[number],
  engine: Engine,
  forms: ChooseForm,
): Promise<Comparison[]> {
  const golden = readGolden<Config>(`network-${name}`);
  const built = networkOf(golden.config);
  const feeds = feedsOf(golden.config, built, golden.tensors.get('hu')!.data as Int16Array);
  const result = await runGraph(built.graph, feeds, forms, undefined, engine);
  return compareGradients(result, built.parameters, golden);
}
