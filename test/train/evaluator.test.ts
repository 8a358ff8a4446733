import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { validationBatches } from '../../src/data/loading/batches.js';
import { type TileStore, tilesOf } from '../../src/data/store/tiles.js';
import { buildGraph } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createEvaluator, joinValidations } from '../../src/train/evaluator.js';
import { freshState } from '../../src/train/fresh-state.js';
import { proxyWorkload, samplingOptions } from '../../src/train/proxy.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
let store: TileStore;
beforeAll(async () => {
  store = await sampleStore(join(folder, 'tiles'));
});

/** Validates an untrained network on a number of tiles, with so many in a batch. */
async function validated(microBatch: number, samples: number) {
  const config = resolveConfig({
    preset: 'tiny',
    config: { whole: [16, 8, 8], network: { levels: 2, width: 2 }, batch: 4, microBatch },
  });
  const { parameters } = buildGraph('evaluation', proxyWorkload(config, store.size), config);
  const evaluator = await createEvaluator(config, store.size, nodeEngine);
  const batches = validationBatches(tilesOf(store, 'validation'), {
    ...samplingOptions(config),
    limit: samples,
  });
  const found = await evaluator.validate(batches, freshState(parameters, config));
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

test('ranks join what they know', () => {
  const parts = [
    { mse: 1, samples: 1 },
    { mse: 4, samples: 2, outputDeviation: 0.5 },
    { mse: Number.NaN, samples: 0 },
  ];
  expect(joinValidations(parts)).toEqual({ mse: 3, samples: 3, outputDeviation: 0.5 });
  expect(joinValidations(parts.toSpliced(1, 1))).toEqual({ mse: 1, samples: 1 });
  expect(joinValidations([parts[0]!, parts[0]!])).toEqual({ mse: 1, samples: 2 });
});
