/** The proxy task of a pre-training run: its graphs, and what they are fed. */

import type { DHW } from '../../graphs/nn/input.js';
import { type ProxyOptions, reconstruction } from '../../graphs/objectives/reconstruction.js';
import { restoration } from '../../graphs/objectives/restoration.js';
import type { BuiltGraph } from '../../graphs/programs/built.js';
import { featureGraph } from '../../graphs/programs/inference.js';
import type { Config } from '../config/pretraining.js';
import { microBatches } from '../config/training.js';
import type { Batch } from '../data/proxies/index.js';
import { largestPart } from '../data/proxies/parts2whole/parts.js';
import type { SamplingOptions } from '../data/proxies/proxy.js';
import type { XYZ } from '../data/scan/volume.js';
import { built, type Workload } from '../execution/models.js';
import type { EngineTensor } from '../runtime/engine.js';
import { floatTensor } from './fresh-state.js';

const depthHeightWidth = ([x, y, z]: XYZ): DHW => [z, y, x];

/** The samples that a configuration means. */
export const samplingOptions = (config: Config): SamplingOptions => ({
  proxy: config.proxy,
  batch: microBatches(config).size,
  wholeSize: config.whole,
  part: config.part,
  window: config.window,
  intensity: config.intensity,
  paired: config.contrastive.weight > 0,
  seed: config.seed,
});

/** The graph options that a configuration means where it cuts parts, from tiles of a given size. */
export function proxyOptions(config: Config, tile: XYZ, batch = microBatches(config).size): ProxyOptions {
  return {
    batch,
    tile: depthHeightWidth(tile),
    whole: depthHeightWidth(config.whole),
    window: config.window,
    box: depthHeightWidth(largestPart(tile, config.part)),
    network: config.network,
  };
}

/** What a pre-training run trains, on tiles of a given size. */
export const proxyWorkload =
  (config: Config, tile: XYZ): Workload =>
  (samples) =>
    config.proxy === 'genesis'
      ? restoration({ batch: samples, whole: depthHeightWidth(config.whole), network: config.network })
      : reconstruction({
          ...proxyOptions(config, tile, samples),
          intensity: config.intensity > 0,
          contrastive: config.contrastive.weight > 0 ? config.contrastive : null,
        });

/** A run's encoder with parts as its input, whatever it was trained on. @param weights as for {@link featureGraph} */
export const buildFeatureGraph = (
  config: Config,
  tile: XYZ,
  weights?: ReadonlyMap<string, Float32Array>,
): BuiltGraph => built('features', () => featureGraph(proxyOptions(config, tile), weights));

/** What the graphs call the contents of a batch. */
export function batchFeeds(batch: Batch): Record<string, EngineTensor> {
  const { size, whole } = batch;
  if (batch.proxy === 'genesis') {
    const shape = [size, ...depthHeightWidth(whole)];
    return { corrupted: floatTensor(shape, batch.corrupted), target: floatTensor(shape, batch.targets) };
  }
  const { wholes, boxes, depth, height, width, tile, box, intensity } = batch;
  const hu = (data: Int16Array, [x, y, z]: XYZ): EngineTensor => ({
    type: 'int16',
    shape: [size, z, y, x],
    data,
  });
  return {
    tile: hu(wholes, tile),
    part_box: hu(boxes, box),
    part_depth: floatTensor([size, whole[2], box[2]], depth),
    part_height: floatTensor([size, whole[1], box[1]], height),
    part_width: floatTensor([size, box[0], whole[0]], width),
    ...(intensity ? { part_intensity: floatTensor([size, 3], intensity) } : {}),
  };
}
