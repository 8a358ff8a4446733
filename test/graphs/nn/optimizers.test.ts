import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  clipByNorm,
  globalNorm,
  type OptimizerOptions,
  optimizer,
  optimizerSlots,
} from '../../../graphs/nn/optimizers.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { relativeError, runGraph } from '../run.js';

interface Golden {
  name: string;
  options: OptimizerOptions;
  clip: number | null;
  learningRate: number;
  start: number[];
  gradients: number[][];
  values: number[][];
}
/** Five updates of PyTorch's optimisers; golden/make_golden.py made them. */
const cases: Golden[] = JSON.parse(
  readFileSync(new URL('../../golden/optimizers.json', import.meta.url), 'utf8'),
);

const SHAPE = [2, 3];
const float = (shape: number[], data: number[]): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(data),
});

/** By what the learning rate is multiplied, in shapes that broadcast to SHAPE. */
const RATES: Readonly<Record<string, { shape: number[]; data: number[] } | null>> = {
  'the learning rate': null,
  'a share of it': { shape: [], data: [0.25] },
  'a share of it for each row': { shape: [2, 1], data: [0.25, 0.25] },
};

test.each(
  cases.flatMap((c) => Object.keys(RATES).map((rate) => [c.name, c.clip ?? 'none', rate, c] as const)),
)('%s, clipping %s, updates as PyTorch does, by %s', async (_name, _clip, rateName, golden) => {
  const share = RATES[rateName]!;
  const g = new GraphBuilder('update');
  const parameter = g.input('p', 'float32', SHAPE);
  const gradient = g.input('gradient', 'float32', SHAPE);
  const slots = optimizerSlots(golden.options);
  const state = slots.map((slot) => g.input(slot, 'float32', SHAPE));
  const scalars = {
    learningRate: g.input('learning_rate', 'float32', []),
    step: g.input('step', 'float32', []),
  };
  const [clipped] =
    golden.clip === null ? [gradient] : clipByNorm(g, [gradient], globalNorm(g, [gradient]), golden.clip);
  const next = optimizer(g, golden.options, scalars)(
    parameter,
    clipped!,
    state,
    share && g.floats(share.data, share.shape),
  );
  g.output('p.next', next.parameter);
  for (const [i, slot] of next.slots.entries()) g.output(`${slots[i]}.next`, slot);

  const feeds: Record<string, EngineTensor> = {
    p: float(SHAPE, golden.start),
    learning_rate: float([], [golden.learningRate / (share?.data[0] ?? 1)]),
    ...Object.fromEntries(slots.map((slot) => [slot, float(SHAPE, Array(6).fill(0))])),
  };
  for (const [i, values] of golden.gradients.entries()) {
    feeds.gradient = float(SHAPE, values);
    feeds.step = float([], [i + 1]);
    const result = await runGraph(g.build(), feeds);
    expect(relativeError(result['p.next']!.data as Float32Array, golden.values[i]!)).toBeLessThan(1e-6);
    for (const name of ['p', ...slots]) feeds[name] = result[`${name}.next`]!;
  }
});
