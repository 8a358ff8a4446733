import { describe, expect, test } from 'vitest';
import { type Built, gradientGraph, gradientName } from '../../../graphs/artifacts/training.js';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import type { DHW } from '../../../graphs/proxies/parts2whole.js';
import { type Box, partMatrices } from '../../../src/data/parts.js';
import type { XYZ } from '../../../src/data/volume.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { nativeLayout } from '../../../src/train/native.js';
import { readSafetensors } from '../../../src/train/safetensors.js';
import { noise, relativeError, runGraph } from '../run.js';

/** A network, a batch, and PyTorch's gradient of every parameter; golden/make_golden.py made them. */
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

const readGolden = (name: string) => {
  const { tensors, metadata } = readSafetensors(
    new URL(`../../golden/network-${name}.safetensors`, import.meta.url).pathname,
  );
  return { tensors, config: JSON.parse(metadata.config!) as Config };
};

const seedOf = (name: string) =>
  [...name].reduce((seed, character) => (seed * 31 + character.charCodeAt(0)) % 65521, 0);

/** Parameters as the script makes them, by name and shape. */
function parameterValues(name: string, shape: readonly number[]): Float32Array {
  const count = sizeOf(shape);
  if (/running/.test(name)) return new Float32Array(count);
  const [scale, offset] = /norm\d\.weight/.test(name)
    ? [0.2, 1]
    : /norm\d\.bias/.test(name)
      ? [0.2, 0.1]
      : /bias/.test(name)
        ? [0.1, 0]
        : /up\.weight/.test(name)
          ? [Math.sqrt(1 / shape[0]!), 0]
          : [Math.sqrt(3 / sizeOf(shape.slice(1))), 0];
  return noise(count, seedOf(name), scale, offset);
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
  gradientGraph({
    batch: config.batch,
    tile: config.tile,
    whole: config.whole,
    window: { low: -1000, high: 1000 },
    network: { ...config, norm: { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } },
  });

/** Everything that the graph takes. */
function feedsOf(config: Config, { graph, parameters }: Built, hu: Int16Array): Record<string, EngineTensor> {
  const taken = parameters.filter((p) => graph.inputs.some((v) => v.name === p.name));
  return {
    tile: { type: 'int16', shape: [config.batch, ...config.tile], data: hu },
    ...partFeeds(config),
    ...Object.fromEntries(
      taken.map(({ name, shape }): [string, EngineTensor] => [
        name,
        { type: 'float32', shape, data: parameterValues(name, shape) },
      ]),
    ),
  };
}

describe.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('with %s forms', (_, forms) => {
  test.each(['nearest', 'nearest-skip', 'deconv-skip', 'deep'])(
    'the gradient of the whole network "%s" agrees with PyTorch',
    async (name) => {
      const { tensors, config } = readGolden(name);
      const built = networkOf(config);
      const { graph, parameters } = built;
      const feeds = feedsOf(config, built, tensors.get('hu')!.data as Int16Array);
      const result = await runGraph(graph, feeds, forms);

      const golden = (key: string) => tensors.get(key)!.data as Float32Array;
      expect(Math.abs((result.loss!.data[0] as number) / golden('loss')[0]! - 1)).toBeLessThan(1e-5);
      const trainable = parameters.filter((p) => p.trainable);
      const largest = Math.max(...trainable.flatMap((p) => [...golden(gradientName(p.name))].map(Math.abs)));
      for (const { name: parameter } of trainable) {
        const [got, expected] = [
          result[gradientName(parameter)]!.data as Float32Array,
          golden(gradientName(parameter)),
        ];
        // A bias before BatchNorm has no gradient; PyTorch's is rounding noise.
        if (/conv\d\.bias/.test(parameter))
          for (const v of expected) expect(Math.abs(v - got[0]!)).toBeLessThan(1e-5 * largest);
        else expect(relativeError(got, expected), parameter).toBeLessThan(1e-4);
      }
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
