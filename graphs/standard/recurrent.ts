/** Recurrent layers, unrolled: one set of nodes a step, as the length of the sequence is known. */

import { range } from '../onnx/range.js';
import { GraphError, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

type Activation = (x: Value) => Value;

/** What one step of a direction sees. */
interface Step {
  /** The input's part of each gate, biases included, [N,H]. */
  readonly x: readonly Value[];
  /** The state, [N,H], and an LSTM's cell. */
  readonly states: readonly Value[];
  /** The state times the recurrent weights of gate i, without bias. */
  recurrent(i: number, state: Value): Value;
  /** The recurrent bias of the gate for which `x` does not have it; `null` where there is none. */
  readonly bias: Value | null;
  readonly activations: readonly Activation[];
  /** Weights from an LSTM's cell to its gates. */
  readonly peepholes: readonly Value[] | null;
}
interface Cell {
  readonly gates: number;
  readonly states: 1 | 2;
  readonly activations: readonly string[];
  /** The gate whose recurrent bias is multiplied with its recurrent part, and so cannot be added beforehand. */
  readonly biasApart?: number;
  /** The new states. */
  step(n: StandardNode, step: Step): readonly Value[];
}

const RNN: Cell = {
  gates: 1,
  states: 1,
  activations: ['Tanh'],
  step: ({ f }, { x, states: [h], recurrent, activations: [activate] }) => [
    activate!(f.add(x[0]!, recurrent(0, h!))),
  ],
};

/** Gates: update, reset, hidden. */
const GRU: Cell = {
  gates: 3,
  states: 1,
  activations: ['Sigmoid', 'Tanh'],
  biasApart: 2,
  step(n, { x, states: [h], recurrent, bias, activations: [gate, activate] }) {
    const { f } = n;
    const update = gate!(f.add(x[0]!, recurrent(0, h!)));
    const reset = gate!(f.add(x[1]!, recurrent(1, h!)));
    const biased = (value: Value) => (bias ? f.add(value, bias) : value);
    const memory =
      n.int('linear_before_reset', 0) === 1
        ? f.mul(reset, biased(recurrent(2, h!)))
        : biased(recurrent(2, f.mul(reset, h!)));
    const hidden = activate!(f.add(x[2]!, memory));
    return [f.add(f.mul(f.sub(1, update), hidden), f.mul(update, h!))];
  },
};

/** Gates: input, output, forget, cell. */
const LSTM: Cell = {
  gates: 4,
  states: 2,
  activations: ['Sigmoid', 'Tanh', 'Tanh'],
  step(n, { x, states: [h, c], recurrent, activations: [gate, activate, show], peepholes }) {
    const { f } = n;
    const sums = range(4).map((i) => f.add(x[i]!, recurrent(i, h!)));
    const peep = (i: number, cell: Value) =>
      peepholes ? f.add(sums[i]!, f.mul(peepholes[i]!, cell)) : sums[i]!;
    const input = gate!(peep(0, c!));
    const forget = n.int('input_forget', 0) === 1 ? f.sub(1, input) : gate!(peep(2, c!));
    const cell = f.add(f.mul(forget, c!), f.mul(input, activate!(sums[3]!)));
    const output = gate!(peep(1, cell));
    return [f.mul(output, show!(cell)), cell];
  },
};

/** The part of a tensor that belongs to one index of its first axis. */
const part = ({ g }: StandardNode, x: Value, i: number): Value =>
  g.add('Squeeze', [g.slice(x, [i], [i + 1], [0]), g.integers([0])]);

function activationsOf({ f }: StandardNode, names: readonly string[]): Activation[] {
  const known: Record<string, Activation> = {
    Relu: f.relu,
    Sigmoid: f.sigmoid,
    Softplus: f.softplus,
    Tanh: f.tanh,
  };
  return names.map((name) => {
    const found = known[name];
    if (!found)
      throw new GraphError(`activation "${name}" is not supported; known: ${Object.keys(known).join(', ')}`);
    return found;
  });
}

const recurrence = (cell: Cell) => (n: StandardNode) => {
  const { f, g } = n;
  const batchFirst = n.int('layout', 0) === 1;
  const sequence = batchFirst ? g.transpose(n.input(0), [1, 0, 2]) : n.input(0);
  const [length, batch, width] = sequence.shape as [number, number, number];
  const size = n.int('hidden_size', n.shape(2)[2]!);
  if (n.constants(4)?.some((steps) => steps !== length))
    throw new GraphError('sequences of different lengths in one batch are not supported');
  if (n.has('clip')) throw new GraphError('clipped gates are not supported');
  const direction = n.string('direction', 'forward');
  const directions = direction === 'bidirectional' ? [false, true] : [direction === 'reverse'];
  const names = n.strings('activations') ?? directions.flatMap(() => cell.activations);
  const initial = range(cell.states).map((i) => {
    const given = n.optional(5 + i);
    return given && (batchFirst ? g.transpose(given, [1, 0, 2]) : given);
  });
  const split = (x: Value, axis: number, count: number) =>
    g.addMany(
      'Split',
      [x, g.integers(range(count).map(() => (x.shape[axis] as number) / count))],
      { axis },
      count,
    );

  const results = directions.map((isReverse, d) => {
    const weights = g.transpose(part(n, n.input(1), d), [1, 0]);
    const recurrentWeights = split(g.transpose(part(n, n.input(2), d), [1, 0]), 1, cell.gates);
    const given = n.optional(3);
    const biases = given && split(part(n, given, d), 0, 2 * cell.gates);
    const projected = split(
      g.add('MatMul', [g.reshape(sequence, [length * batch, width]), weights]),
      1,
      cell.gates,
    );
    const inputs = projected.map((x, i) => {
      if (!biases) return x;
      const own = f.add(x, biases[i]!);
      return i === cell.biasApart ? own : f.add(own, biases[i + cell.gates]!);
    });
    const steps = inputs.map((x) => split(x, 0, length));
    const activations = activationsOf(
      n,
      names.slice(d * cell.activations.length, (d + 1) * cell.activations.length),
    );
    const peephole = cell === LSTM ? n.optional(7) : null;
    const peepholes = peephole && split(part(n, peephole, d), 0, 3);
    let states: readonly Value[] = initial.map((state) =>
      state ? part(n, state, d) : g.full(0, [batch, size], sequence.type),
    );
    const outputs: Value[] = [];
    for (const t of isReverse ? range(length).reverse() : range(length)) {
      states = cell.step(n, {
        x: steps.map((gate) => gate[t]!),
        states,
        recurrent: (i, state) => g.add('MatMul', [state, recurrentWeights[i]!]),
        bias: (cell.biasApart && biases?.[cell.biasApart + cell.gates]) || null,
        activations,
        peepholes,
      });
      outputs[t] = g.reshape(states[0]!, [1, 1, batch, size]);
    }
    return { all: g.add('Concat', outputs, { axis: 0 }), states };
  });
  const y = g.add(
    'Concat',
    results.map(({ all }) => all),
    { axis: 1 },
  );
  const last = range(cell.states).map((i) =>
    g.add(
      'Concat',
      results.map(({ states }) => g.reshape(states[i]!, [1, batch, size])),
      { axis: 0 },
    ),
  );
  return batchFirst
    ? [g.transpose(y, [2, 0, 1, 3]), ...last.map((state) => g.transpose(state, [1, 0, 2]))]
    : [y, ...last];
};

export const recurrent: Translations = { RNN: recurrence(RNN), GRU: recurrence(GRU), LSTM: recurrence(LSTM) };
