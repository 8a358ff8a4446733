import { describe, expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import {
  binaryCrossEntropy,
  classWeight,
  contrastiveLoss,
  crossEntropy,
  oneHot,
  softDice,
  softDicePerSample,
  weightedMean,
} from '../../../graphs/nn/losses.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { runGraph } from '../run.js';

const float = (shape: number[], ...values: number[]): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(values),
});
const numbers = (tensor: EngineTensor | undefined) => Array.from(tensor!.data as Float32Array);

describe('the contrastive loss of pairs', () => {
  /** The definition, in float64. */
  const defined = (rows: readonly (readonly number[])[], temperature: number) => {
    const unit = rows.map((row) => row.map((v) => v / Math.hypot(...row)));
    const similarity = (i: number, j: number) =>
      Math.exp(unit[i]!.reduce((sum, v, c) => sum + v * unit[j]![c]!, 0) / temperature);
    const losses = unit.map((_, i) => {
      const others = unit.map((_, j) => j).filter((j) => j !== i);
      return -Math.log(similarity(i, i ^ 1) / others.reduce((sum, j) => sum + similarity(i, j), 0));
    });
    return losses.reduce((a, b) => a + b, 0) / losses.length;
  };
  const rows = [
    [1, 2, 0.5],
    [0.9, 1.7, 1],
    [-1, 0.3, 2],
    [-0.5, 0.1, 1.1],
    [2, -1, 0.2],
    [1, 1, 1],
  ];
  const graph = (temperature: number) => {
    const g = new GraphBuilder('loss');
    const f = g.input('f', 'float32', [6, 3]);
    const loss = contrastiveLoss(g, f, temperature);
    g.output('loss', loss);
    g.output('gradient', backward(g, loss, [f])[0]!);
    return g.build();
  };

  test.each([0.1, 0.7])(
    'is what it is defined as, and so is its gradient, at τ = %d',
    async (temperature) => {
      const { loss, gradient } = await runGraph(graph(temperature), { f: float([6, 3], ...rows.flat()) });
      expect(numbers(loss)[0]).toBeCloseTo(defined(rows, temperature), 5);
      const step = 1e-5;
      rows.flat().forEach((_, at) => {
        const moved = (by: number) =>
          rows.map((row, i) => row.map((v, c) => (3 * i + c === at ? v + by : v)));
        const slope = (defined(moved(step), temperature) - defined(moved(-step), temperature)) / (2 * step);
        expect(numbers(gradient)[at]).toBeCloseTo(slope, 5);
      });
    },
  );

  test('is finite for features that are all zero', async () => {
    const { loss, gradient } = await runGraph(graph(0.7), { f: float([6, 3], ...Array(18).fill(0)) });
    expect(numbers(loss)[0]).toBeCloseTo(Math.log(5), 5);
    expect(numbers(gradient).every(Number.isFinite)).toBe(true);
  });

  test('refuses an odd batch', () => {
    const g = new GraphBuilder('loss');
    expect(() => contrastiveLoss(g, g.input('f', 'float32', [3, 2]), 1)).toThrow('even batch');
  });
});

describe('binary cross-entropy of logits', () => {
  test('is exact, and so is its gradient, however far a logit is off', async () => {
    const g = new GraphBuilder('loss');
    const [z, t] = [g.input('z', 'float32', [1, 6]), g.input('t', 'float32', [1, 6])];
    const each = binaryCrossEntropy(g, z, t, null);
    g.output('each', each);
    g.output('gradient', backward(g, g.sum(each, [0, 1], 0), [z])[0]!);
    const result = await runGraph(g.build(), {
      z: float([1, 6], 1e4, -1e4, 1e4, -1e4, 0, 100),
      t: float([1, 6], 1, 0, 0, 1, 0.25, 1),
    });
    const [each0, gradient] = [numbers(result.each), numbers(result.gradient)];
    [0, 0, 1e4, 1e4, Math.log(2), 0].forEach((expected, i) => {
      expect(each0[i]).toBeCloseTo(expected, 6);
    });
    [0, 0, 1, -1, 0.25, 0].forEach((expected, i) => {
      expect(gradient[i]).toBeCloseTo(expected, 6);
    });
  });

  test('counts the positives of each class as often as its weight says', async () => {
    const g = new GraphBuilder('loss');
    const [z, t] = [g.input('z', 'float32', [1, 2, 2]), g.input('t', 'float32', [1, 2, 2])];
    g.output('each', binaryCrossEntropy(g, z, t, [3, 0.5]));
    const feeds = { z: float([1, 2, 2], 0, 0, 0, 0), t: float([1, 2, 2], 1, 0, 1, 0) };
    const each = numbers((await runGraph(g.build(), feeds)).each);
    [3, 1, 0.5, 1].forEach((weight, i) => {
      expect(each[i]).toBeCloseTo(weight * Math.log(2), 6);
    });
  });

  test('with weights for another number of classes is refused', () => {
    const g = new GraphBuilder('loss');
    const [z, t] = [g.input('z', 'float32', [1, 2]), g.input('t', 'float32', [1, 2])];
    expect(() => binaryCrossEntropy(g, z, t, [1, 2, 3])).toThrow('2 classes need as many weights, got 3');
  });
});

test('cross-entropy is finite for huge logits, weighted by class, and leaves out numbers that are no class', async () => {
  const g = new GraphBuilder('loss');
  const z = g.input('z', 'float32', [3, 2]);
  const classes = oneHot(g, g.input('label', 'int32', [3]), 2);
  const losses = crossEntropy(g, z, classes);
  const weights = classWeight(g, classes, [1, 3]);
  g.output('losses', losses);
  g.output('weights', weights);
  g.output('mean', weightedMean(g, losses, weights));
  const result = await runGraph(g.build(), {
    z: float([3, 2], 1e4, -1e4, 0, 0, 5, 6),
    label: { type: 'int32', shape: [3], data: Int32Array.of(0, 1, 7) },
  });
  expect(numbers(result.weights)).toEqual([1, 3, 0]);
  const losses0 = numbers(result.losses);
  [0, Math.log(2), 0].forEach((expected, i) => {
    expect(losses0[i]).toBeCloseTo(expected, 6);
  });
  expect(numbers(result.mean)[0]).toBeCloseTo((3 * Math.log(2)) / 4, 6);
});

describe('soft Dice', () => {
  const dice = async (p: number[], t: number[], weights = [1, 1]) => {
    const g = new GraphBuilder('loss');
    const shape = [2, 1, 2];
    const [probability, target] = [g.input('p', 'float32', shape), g.input('t', 'float32', shape)];
    g.output('batch', softDice(g, probability, target, g.input('w', 'float32', [2])));
    g.output('each', softDicePerSample(g, probability, target));
    const feeds = { p: float(shape, ...p), t: float(shape, ...t), w: float([2], ...weights) };
    const result = await runGraph(g.build(), feeds);
    return { batch: numbers(result.batch)[0]!, each: numbers(result.each) };
  };

  test('of a batch takes it as one image', async () => {
    const { batch, each } = await dice([1, 0.5, 0, 0], [1, 1, 1, 0]);
    expect(batch).toBeCloseTo(1 - (2 * 1.5 + 1) / (1.5 + 3 + 1), 6);
    expect(each[0]).toBeCloseTo(1 - (2 * 1.5 + 1) / (1.5 + 2 + 1), 6);
    expect(each[1]).toBeCloseTo(1 - 1 / 2, 6);
  });

  test('is 0 where nothing is there and nothing was found', async () => {
    expect(await dice([0, 0, 0, 0], [0, 0, 0, 0])).toEqual({ batch: 0, each: [0, 0] });
  });

  test('does not see a sample of weight 0', async () => {
    const [one, other] = [
      await dice([1, 0.5, 0.3, 0.9], [1, 1, 0, 1], [1, 0]),
      await dice([1, 0.5, 0, 1], [1, 1, 1, 0], [1, 0]),
    ];
    expect(one.batch).toBe(other.batch);
  });
});
