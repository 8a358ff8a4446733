import { describe, expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { runGraph } from '../run.js';

const scalar = (value: number) => ({ type: 'float32' as const, shape: [], data: Float32Array.of(value) });

describe('backward', () => {
  test('adds up the gradients of a value that is used several times', async () => {
    const g = new GraphBuilder('f');
    const x = g.input('x', 'float32', []);
    // f = x·x + x, f′ = 2x + 1
    const loss = g.add('Add', [g.add('Mul', [x, x]), x]);
    g.output('dx', backward(g, loss, [x])[0]!);
    expect((await runGraph(g.build(), { x: scalar(3) })).dx!.data[0]).toBe(7);
  });

  test('differentiates through intermediate values as well as inputs', async () => {
    const g = new GraphBuilder('f');
    const x = g.input('x', 'float32', []);
    const middle = g.add('Exp', [x]);
    const loss = g.add('Mul', [middle, middle]);
    g.output('dmiddle', backward(g, loss, [middle])[0]!);
    expect((await runGraph(g.build(), { x: scalar(0) })).dmiddle!.data[0]).toBe(2);
  });

  test('gives null where the loss does not depend on a value', () => {
    const g = new GraphBuilder('f');
    const [x, y] = [g.input('x', 'float32', []), g.input('y', 'float32', [2])];
    g.add('Exp', [y]);
    const [dx, dy] = backward(g, g.add('Exp', [x]), [x, y]);
    expect(dx).not.toBeNull();
    expect(dy).toBeNull();
  });

  test('does not build gradients that nobody asked for', () => {
    const g = new GraphBuilder('f');
    const [x, w] = [g.input('x', 'float32', [1, 2, 4, 4, 4]), g.input('w', 'float32', [2, 2, 3, 3, 3])];
    const y = g.add('Conv', [x, w], { pads: [1, 1, 1, 1, 1, 1] });
    backward(g, g.sum(y, [0, 1, 2, 3, 4], 0), [w]);
    expect(g.build().nodes.map((n) => n.operator)).not.toContain('ConvInputGrad');
  });

  test('the input gradient of a stride-1 convolution is a convolution, never a transposed one', () => {
    const g = new GraphBuilder('f');
    const [x, w] = [g.input('x', 'float32', [1, 2, 4, 4, 4]), g.input('w', 'float32', [2, 2, 3, 3, 3])];
    const y = g.add('Conv', [x, w], { pads: [1, 1, 1, 1, 1, 1] });
    g.output('dx', backward(g, g.sum(y, [0, 1, 2, 3, 4], 0), [x])[0]!);
    const operators = lower(g.build(), { choose: plainForms }).nodes.map((n) => n.operator);
    expect(operators).toContain('Conv');
    expect(operators).not.toContain('ConvTranspose');
  });

  test.each([
    [
      'a loss that is no scalar',
      (g: GraphBuilder) => backward(g, g.input('x', 'float32', [2]), []),
      /a loss is a scalar, "x" is \[2\]/,
    ],
    [
      'a second derivative',
      (g: GraphBuilder) => {
        const [x, w] = [g.input('x', 'float32', [1, 1, 4, 4, 4]), g.input('w', 'float32', [1, 1, 3, 3, 3])];
        const y = g.sum(g.add('Conv', [x, w]), [0, 1, 2, 3, 4], 0);
        const dw = backward(g, y, [w])[0]!;
        backward(g, g.sum(g.add('Mul', [dw, dw]), [0, 1, 2, 3, 4], 0), [x]);
      },
      /ConvWeightGrad at ".*" has no gradient: .*second derivatives/,
    ],
  ])('refuses %s, saying where and why', (_, run, message) => {
    expect(() => run(new GraphBuilder('f'))).toThrow(message);
  });
});
