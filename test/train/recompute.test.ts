import { describe, expect, test } from 'vitest';
import { executionOrder } from '../../graphs/onnx/peak.js';
import { planOf, savings } from '../../graphs/programs/recompute.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { buildGraph } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createHostStepper } from '../../src/train/host-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';

const STEPS = 3;
const configOf = (changes: object) =>
  resolveConfig({
    preset: 'tiny',
    config: { whole: [16, 16, 8], batch: 4, threads: 1, network: { width: 4, levels: 1 }, ...changes },
  });
const graphOf = (config: Config) => buildGraph('gradient', proxyWorkload(config, config.whole), config).graph;
/** Everything recomputed that can be. */
const recomputed = (config: Config): Config => ({ ...config, recompute: planOf(savings(graphOf(config))) });

async function trained(config: Config) {
  const stepper = await createHostStepper(proxyWorkload(config, config.whole), config, nodeEngine);
  const { microBatch, batch } = config;
  const size = microBatch ?? batch;
  const steps = Array.from({ length: STEPS }, (_, step) =>
    Array.from({ length: batch / size }, (_, i) =>
      batchFeeds(randomBatch({ ...config, batch: size }, STEPS * step + i)),
    ),
  );
  const results = await stepper.run(steps, config.learningRate, 1);
  const state = new Map(await stepper.readState());
  await stepper.release();
  return { results, state };
}

describe('what is recomputed changes no bit of losses, parameters and running statistics', () => {
  test.each([
    ['in blocked forms', { network: { width: 16, levels: 1 }, forms: 'fast' }],
    ['in plain forms', { forms: 'plain' }],
    ['with skip connections', { network: { width: 4, levels: 1, skip: true } }],
    [
      'with deconvolutions and a contrastive term',
      {
        network: { width: 4, levels: 1, upsampling: 'deconv' },
        contrastive: { weight: 0.1, temperature: 0.7 },
      },
    ],
    ['in micro-batches', { microBatch: 2 }],
  ])('%s', async (_name, changes) => {
    const config = configOf(changes);
    expect(await trained(recomputed(config))).toEqual(await trained(config));
  });
});

test('what is recomputed is computed in the backward pass, when the layers behind it are done', () => {
  const order = executionOrder(graphOf(recomputed(configOf({}))));
  const at = (name: string) => order.findIndex((node) => node.outputs.includes(name));
  const again = order.findIndex((node) => node.name.includes('again/encoder.0.1/'));
  expect(again).toBeGreaterThan(at('gradient/encoder.1.1/BatchNorm/BatchNormGrad'));
  expect(again).toBeLessThan(at('gradient/encoder.0.1/BatchNorm/BatchNormGrad'));
});

test('a layer that the network does not have is refused', () => {
  expect(() => graphOf(configOf({ recompute: { 'encoder.9.1': 'layer' } }))).toThrow(
    'there is no layer "encoder.9.1" to recompute, only encoder.0.1, encoder.0.2',
  );
});
