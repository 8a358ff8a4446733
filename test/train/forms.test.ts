import { expect, test } from 'vitest';
import { type FormTable, survey } from '../../graphs/forms/choice.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { blockedLayout } from '../../src/execution/blocked-layout.js';
import { buildGraph } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createStepper } from '../../src/train/create-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import { noise, relativeError } from '../graphs/run.js';

// Adam divides by the gradient's size, which blows up the rounding of gradients that are almost zero.
const SETTINGS = [
  'network.width=16',
  'network.levels=2',
  'whole=16x16x8',
  'batch=4',
  'threads=1',
  'optimizer.name=sgd',
  'learningRate=0.02',
];

/** The losses of twelve steps, and all that they left behind. */
async function train(forms: Config['forms']) {
  const config = { ...resolveConfig({ preset: 'tiny', config: fromSettings(SETTINGS) }), forms };
  const stepper = await createStepper(proxyWorkload(config, config.whole), config, nodeEngine);
  const losses: number[] = [];
  for (let step = 1; step <= 12; step++) {
    const batch = batchFeeds(randomBatch(config, step));
    const [result] = await stepper.run([[batch]], config.learningRate, step);
    losses.push(result!.loss);
  }
  const state = [...(await stepper.readState())].map(([name, { data }]): [string, number[]] => [
    name,
    Array.from(data as Float32Array),
  ]);
  await stepper.release();
  return { losses, state: new Map(state) };
}

/** A choice such as tuning might make: neighbours in different forms and layouts. */
async function mixedForms(): Promise<FormTable> {
  const config = resolveConfig({ preset: 'tiny', config: fromSettings(SETTINGS) });
  const { graph } = buildGraph('step', proxyWorkload(config, config.whole), config);
  const { trials } = survey(graph, await blockedLayout(nodeEngine));
  const table = [...trials].map(([key, forms], i) => [key, [...forms.keys()][i % forms.size]!] as const);
  expect(new Set(table.map(([, form]) => form)).size).toBeGreaterThan(2);
  return Object.fromEntries(table);
}

test('faster forms train as the plain ones do, and give the same bytes every time', async () => {
  const plain = await train('plain');
  expect(plain.losses[11]).toBeLessThan(0.9 * plain.losses[0]!);
  for (const forms of ['fast', await mixedForms()] as const) {
    const [one, again] = [await train(forms), await train(forms)];
    // Rounding grows from step to step, in a loss that falls by a sixth; the way stays the same.
    one.losses.forEach((loss, i) => {
      expect(Math.abs(loss / plain.losses[i]! - 1), `step ${i + 1}`).toBeLessThan(i < 3 ? 1e-5 : 2e-3);
    });
    expect(again.losses).toEqual(one.losses);
    expect(again.state).toEqual(one.state);
  }
});

test('faster forms have the plain ones’ gradients where images are constant, and all values of a window are its maxima', async () => {
  const config = resolveConfig({ preset: 'tiny', config: fromSettings([...SETTINGS, 'proxy=genesis']) });
  const shape = [4, 8, 16, 16];
  const data = noise(4 * 8 * 16 * 16, 7, 0.2, 0.5).map((value, i) => (i % 256 < 100 ? 0 : value));
  const image = { type: 'float32' as const, shape, data };
  const feeds = { corrupted: image, target: image };
  const changes = async (forms: Config['forms']) => {
    const stepper = await createStepper(
      proxyWorkload(config, config.whole),
      { ...config, forms },
      nodeEngine,
    );
    const read = async () =>
      new Map(
        [...(await stepper.readState())].map(([name, { data }]) => [
          name,
          Float32Array.from(data as Float32Array),
        ]),
      );
    const before = await read();
    await stepper.run([[feeds]], config.learningRate, 1);
    const after = await read();
    await stepper.release();
    return new Map([...before].map(([name, old]) => [name, after.get(name)!.map((v, i) => v - old[i]!)]));
  };
  const [plain, fast] = [await changes('plain'), await changes('fast')];
  const weights = [...plain].filter(([name]) => name.endsWith('.weight'));
  expect(weights.length).toBeGreaterThan(5);
  // Next to the background, rounding decides which of two values is larger.
  for (const [name, change] of weights)
    expect(relativeError(fast.get(name)!, change), name).toBeLessThan(0.02);
});
