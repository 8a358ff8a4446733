import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { validationBatches } from '../../src/data/loading/batches.js';
import { type TileStore, tilesOf } from '../../src/data/store/tiles.js';
import { alone, type Ranks } from '../../src/distributed/ranks.js';
import { buildGraph } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createEvaluator } from '../../src/train/evaluator.js';
import { freshState } from '../../src/train/fresh-state.js';
import { outputDeviation, outputSpread } from '../../src/train/output-deviation.js';
import { proxyWorkload, samplingOptions } from '../../src/train/proxy.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { ranksHere } from './ranks-here.js';

const folder = temporaryFolder();
let store: TileStore;
beforeAll(async () => {
  store = await sampleStore(join(folder, 'tiles'));
});

/** Validates an untrained network on a number of tiles, with so many in a batch, all of them or a rank's share. */
async function validated(microBatch: number, samples: number, ranks: Ranks = alone) {
  const config = resolveConfig({
    preset: 'tiny',
    config: { whole: [16, 8, 8], network: { levels: 2, width: 2 }, batch: 4, microBatch },
  });
  const { parameters } = buildGraph('evaluation', proxyWorkload(config, store.size), config);
  const evaluator = await createEvaluator(config, store.size, nodeEngine);
  const batches = validationBatches(tilesOf(store, 'validation'), {
    ...samplingOptions(config),
    ...{ limit: samples, share: ranks },
  });
  const found = await evaluator.validate(batches, freshState(parameters, config), ranks);
  await evaluator.release();
  return found;
}

test('how much outputs differ does not depend on how many samples are computed at once', async () => {
  const one = await validated(1, 6);
  const two = await validated(2, 6);
  expect(one.samples).toBe(6);
  expect(one.outputDeviation).toBeGreaterThan(1e-5);
  expect(two.outputDeviation! / one.outputDeviation!).toBeCloseTo(1, 3);
});

test('of one sample nobody can say how much outputs differ', async () => {
  expect(await validated(2, 1)).not.toHaveProperty('outputDeviation');
});

test.each([2, 3, 5, 8])(
  '%i ranks know together what one knows, though each has a single sample or none',
  async (size) => {
    const samples = Math.min(size, 6);
    const one = await validated(1, samples);
    for (const found of await Promise.all(ranksHere(size).map((ranks) => validated(1, samples, ranks)))) {
      expect(found.samples).toBe(samples);
      expect(found.mse).toBeCloseTo(one.mse, 6);
      expect(found.outputDeviation! / one.outputDeviation!).toBeCloseTo(1, 4);
    }
  },
);

test('outputs far from zero differ as little as they do', async () => {
  const outputs = [1, 1.001, 1.002, 1.003].map((value) => Float32Array.of(1000 * value, value));
  const [few, more] = [outputSpread(2), outputSpread(2)];
  few.add(outputs[0]!);
  for (const output of outputs.slice(1)) more.add(output);
  const own = [few, more];
  const found = await Promise.all(ranksHere(2).map((ranks, i) => outputDeviation(ranks, own[i]!)));
  const expected = 500.5 * Math.sqrt(1.25e-6);
  expect(found).toEqual([expect.closeTo(expected, 4), expect.closeTo(expected, 4)]);
});
