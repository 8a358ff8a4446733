import { describe, expect, test } from 'vitest';
import type { Built } from '../../../graphs/artifacts/built.js';
import { gradientGraph } from '../../../graphs/artifacts/training.js';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import type { DHW } from '../../../graphs/nn/input.js';
import { reconstruction } from '../../../graphs/tasks/reconstruction.js';
import { type Box, partMatrices } from '../../../src/data/parts.js';
import type { XYZ } from '../../../src/data/volume.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { nativeLayout } from '../../../src/train/native.js';
import { noise, relativeError, runGraph } from '../run.js';
import { expectGradients, parameterFeeds, readGolden } from './golden.js';

/** What decides a network and its batch. */
interface Config {
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

const networkOf = (config: Config) =>
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
const feedsOf = (
  config: Config,
  { graph, parameters }: Built,
  hu: Int16Array,
): Record<string, EngineTensor> => ({
  tile: { type: 'int16', shape: [config.batch, ...config.tile], data: hu },
  ...partFeeds(config),
  ...parameterFeeds(parameters, graph.inputs),
});

describe.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('with %s forms', (_, forms) => {
  test.each(['nearest', 'nearest-skip', 'deconv-skip', 'deep'])(
    'the gradient of the whole network "%s" agrees with PyTorch',
    async (name) => {
      const golden = readGolden<Config>(`network-${name}`);
      const built = networkOf(golden.config);
      const feeds = feedsOf(golden.config, built, golden.tensors.get('hu')!.data as Int16Array);
      expectGradients(await runGraph(built.graph, feeds, forms), built.parameters, golden);
    },
  );
});

const offered = await nativeLayout(nodeEngine);

describe.skipIf(offered === null)('a network whose channels fill blocks', () => {
  const config: Config = {
    width: offered?.block ?? 16,
    levels: 2,
    skip: false,
    upsampling: 'nearest',
    batch: 1,
    tile: [16, 8, 8],
    whole: [8, 8, 8],
    boxes: [{ start: [1, 0, 2], size: [5, 8, 9] }],
  };

  test.each([
    ['without skips', {}],
    ['with skips', { skip: true }],
    ['with transposed convolutions', { upsampling: 'deconv' as const }],
  ])('has the same gradient in planes, in chunks or not: %s', async (_, change) => {
    const network = { ...config, ...change };
    const built = networkOf(network);
    for (const chunk of [1_000_000, 200, 60]) {
      const errors: number[] = [];
      for (const seed of [5, 6, 7]) {
        const feeds = feedsOf(network, built, Int16Array.from(noise(16 * 8 * 8, seed, 1000)));
        const expected = await runGraph(built.graph, feeds);
        const got = await runGraph(built.graph, feeds, fastForms, { ...offered!, chunk });
        const each = Object.entries(expected).map(([name, { data }]) =>
          relativeError(got[name]!.data as Float32Array, data as Float32Array),
        );
        errors.push(Math.max(...each));
      }
      // A value within rounding of zero may fall on the other side of a ReLU, which moves gradients: rarely, and little.
      const [, median, largest] = errors.sort((a, b) => a - b);
      expect(median, `chunks of ${chunk}`).toBeLessThan(1e-5);
      expect(largest, `chunks of ${chunk}`).toBeLessThan(0.05);
    }
  });
});
