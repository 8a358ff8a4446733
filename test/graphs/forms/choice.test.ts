import { describe, expect, test } from 'vitest';
import {
  byTable,
  chooseForms,
  type FormTimes,
  inForms,
  survey,
  transferForms,
} from '../../../graphs/forms/choice.js';
import { fastForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Graph } from '../../../graphs/onnx/types.js';

/** A machine with blocks of 16 channels: what is chosen here does not depend on the one that runs the tests. */
const BLOCKED = { block: 16, chunk: 16_384 };
const SAME = { kernel_shape: [3, 3, 3], strides: [1, 1, 1], pads: [1, 1, 1, 1, 1, 1] };

/** Three convolutions in a row, of 16 → 16 → 32 → 16 channels. */
function chain(batch: number): Graph {
  const g = new GraphBuilder('chain');
  const conv = (x: ReturnType<GraphBuilder['input']>, i: number, c: number, k: number) =>
    g.add('Conv', [x, g.input(`w${i}`, 'float32', [k, c, 3, 3, 3])], SAME);
  const x = g.input('x', 'float32', [batch, 16, 8, 16, 16]);
  g.output('y', conv(conv(conv(x, 0, 16, 16), 1, 16, 32), 2, 32, 16));
  return g.build();
}

const found = survey(chain(2), BLOCKED);
const [first, second, third] = [...found.trials.keys()] as [string, string, string];
const layout = (channels: number) => `layout float32[2,${channels},8,16,16]`;

/** Times where the blocked form takes `blocked` and the plain form takes `plain`, call by call, and each conversion `change`. */
const timesOf = (blocked: readonly number[], plain: readonly number[], change: number): FormTimes => ({
  ...Object.fromEntries(
    [first, second, third].map((key, i) => [key, { blocked: blocked[i]!, plain: plain[i]! }]),
  ),
  [layout(16)]: { slicePairs: change, plain: change },
  [layout(32)]: { slicePairs: change, plain: change },
});
const choice = (times: FormTimes) => [first, second, third].map((key) => chooseForms(found, times)[key]);

describe('the choice of forms', () => {
  test('asks for the time of every form and every change of layout that may be needed', () => {
    expect(found.patterns.map(({ key, graphs }) => [key, Object.keys(graphs).sort()])).toEqual([
      [first, ['blocked', 'plain']],
      [second, ['blocked', 'plain']],
      [third, ['blocked', 'plain']],
      [layout(16), ['plain', 'slicePairs']],
      [layout(32), ['plain', 'slicePairs']],
    ]);
    for (const { graphs } of found.patterns)
      for (const { outputs } of Object.values(graphs)) expect(outputs).toHaveLength(1);
  });

  test('counts changes of layout: a form that wins alone may lose among its neighbours', () => {
    const [blocked, plain] = [
      [1, 3, 1],
      [3, 2, 3],
    ];
    expect(choice(timesOf(blocked, plain, 0.1))).toEqual(['blocked', 'plain', 'blocked']);
    expect(choice(timesOf(blocked, plain, 0.9))).toEqual(['blocked', 'blocked', 'blocked']);
  });

  test('changes several calls at once where one alone would not pay', () => {
    expect(choice(timesOf([2, 2, 2], [1, 1, 1], 1.2))).toEqual(['plain', 'plain', 'plain']);
  });

  test('keeps the best known form where another is hardly faster', () => {
    expect(choice(timesOf([1, 1, 1], [0.95, 0.95, 0.95], 0))).toEqual(['blocked', 'blocked', 'blocked']);
    expect(choice(timesOf([1, 1, 1], [0.8, 0.8, 0.8], 0))).toEqual(['plain', 'plain', 'plain']);
  });

  test('is carried over to another batch, and lowers the graph', () => {
    const table = { [first]: 'blocked', [second]: 'plain', [third]: 'blocked' };
    const large = chain(5);
    const moved = transferForms(table, [chain(2), large], BLOCKED);
    expect(Object.values(moved)).toEqual(['blocked', 'plain', 'blocked']);
    const operators = lower(large, { choose: byTable(moved), blocked: BLOCKED }).nodes.map((n) => n.domain);
    // One convolution is left as it was, and its neighbours are blocked.
    expect(operators).toContain('com.microsoft.nchwc');
    const plain = lower(large, { choose: byTable(moved), blocked: BLOCKED }).nodes.filter(
      (n) => n.operator === 'Conv' && n.domain === '',
    );
    expect(plain).toHaveLength(1);
  });

  test('takes the best known form for calls that the table does not have', () => {
    const used = lower(chain(2), { choose: byTable({}), blocked: BLOCKED });
    expect(used.nodes.some((n) => n.operator === 'Conv' && n.domain === '')).toBe(false);
  });

  test('is told from the fixed list, which leaves small operators in the layout of what they read', () => {
    const g = new GraphBuilder('relu');
    g.output('y', g.add('Relu', [g.input('x', 'float32', [1, 16, 8, 16, 16])]));
    const graph = g.build();
    const [key] = survey(graph, BLOCKED).trials.keys();
    expect(inForms(graph, fastForms, BLOCKED).names).toEqual(['plain']);
    expect(inForms(graph, byTable({ [key!]: 'blocked' }), BLOCKED).names).toEqual(['blocked']);
    expect(inForms(graph, byTable({}), BLOCKED).names).toEqual(['plain']);
  });
});

test('keys are the same every time, and say which forms can serve', () => {
  const pool = (depth: number) => {
    const g = new GraphBuilder('pool');
    const x = g.input('x', 'float32', [1, 3, 4, 4, 4]);
    const window = { kernel_shape: [depth, 2, 2] };
    const y = g.add('MaxPool', [x], { ...window, strides: window.kernel_shape });
    const dy = g.input('dy', 'float32', [1, 3, 4 / depth, 2, 2]);
    g.output('dx', g.add('MaxPoolGrad', [x, y, dy], window));
    return [...survey(g.build(), null).trials.keys()].at(-1);
  };
  expect(pool(2)).toBe(
    'MaxPoolGrad float32[1,3,4,4,4] float32[1,3,2,2,2] float32[1,3,2,2,2] kernel_shape=2,2,2 mask|plain',
  );
  expect(pool(1)).toBe(
    'MaxPoolGrad float32[1,3,4,4,4] float32[1,3,4,2,2] float32[1,3,4,2,2] kernel_shape=1,2,2 plain',
  );
});
