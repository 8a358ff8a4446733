import { describe, expect, test } from 'vitest';
import { checkFinetuneConfig, resolveFinetuneConfig } from '../../src/config/finetuning.js';
import type { SampleFormat } from '../../src/data/samples/manifest.js';
import type { State } from '../../src/runs/state.js';
import type { Tensors } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createStepper } from '../../src/train/create-stepper.js';
import { targetWorkload } from '../../src/train/target.js';
import { noise } from '../graphs/run.js';

const format: SampleFormat = {
  ...{ channels: 1, size: [16, 16, 8], type: 'float32', window: null, task: 'manifest' },
  ...{ kind: 'classification', classes: ['benign', 'malignant'] },
};
const BATCH = 2;
const RATE = 0.25;

const batches: Tensors[] = [1, 2].map((seed) => ({
  image: { type: 'float32', shape: [BATCH, 1, 8, 16, 16], data: noise(BATCH * 2048, seed) },
  label: { type: 'float32', shape: [BATCH, 1], data: Float32Array.of(0, 1) },
  sample_weight: { type: 'float32', shape: [BATCH], data: Float32Array.of(1, 1) },
}));

/** The state before and after one step. */
async function stepped(config: Parameters<typeof resolveFinetuneConfig>[0]['config'], inLoop: boolean) {
  const resolved = resolveFinetuneConfig({
    kind: 'classification',
    config: { network: { width: 4, levels: 1 }, hidden: 8, threads: 1, forms: 'plain', ...config },
  });
  const workload = targetWorkload(resolved, format, null);
  const stepper = await createStepper(workload, resolved, nodeEngine, { inLoop });
  const copy = (state: State) => new Map([...state].map(([name, { data }]) => [name, data.slice()]));
  const before = copy(await stepper.readState());
  const fed = batches.slice(0, resolved.batch / (resolved.microBatch ?? resolved.batch));
  await stepper.run([fed], 0.01, 1);
  const after = copy(await stepper.readState());
  await stepper.release();
  const names = stepper.parameters.filter(({ trainable }) => trainable).map(({ name }) => name);
  return new Map(
    names.map((name) => {
      const [old, next] = [before.get(name)!, after.get(name)!] as [Float32Array, Float32Array];
      return [name, next.map((value, i) => value - old[i]!)];
    }),
  );
}

describe.each([
  ['adam', { name: 'adam' }],
  ['adamw with decay', { name: 'adamw', weightDecay: 0.1 }],
  ['sgd', { name: 'sgd', momentum: 0.9 }],
] as const)('%s', (_name, optimizer) => {
  test.each([
    ['a step', { batch: BATCH }, false],
    ['a step of two micro-batches', { batch: 2 * BATCH, microBatch: BATCH }, false],
    ['several steps in a run, with packed tensors', { batch: BATCH }, true],
  ] as const)(
    '%s trains the encoder at its own rate, and what is behind it at the whole',
    async (_what, size, inLoop) => {
      const whole = await stepped({ ...size, optimizer }, inLoop);
      const slowed = await stepped({ ...size, optimizer, encoderRate: RATE }, inLoop);
      expect(slowed.size).toBe(whole.size);
      expect([...whole.keys()].some((name) => name.startsWith('classifier.'))).toBe(true);
      expect([...whole.keys()].some((name) => name.startsWith('encoder.'))).toBe(true);
      for (const [name, change] of slowed) {
        const share = name.startsWith('encoder.') ? RATE : 1;
        const expected = whole.get(name)!;
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (const [i, value] of change.entries())
          expect(Math.abs(value - share * expected[i]!)).toBeLessThanOrEqual(1e-7 + 1e-4 * largest);
      }
    },
  );
});

test('a frozen encoder has no rate', () => {
  const config = resolveFinetuneConfig({ kind: 'classification' });
  expect(() =>
    checkFinetuneConfig({ ...config, frozenEncoder: true, encoderRate: 0.1 }, 'config.json'),
  ).toThrow('a frozen encoder is not trained at any rate');
});
