import { describe, expect, test } from 'vitest';
import { type ImportedModel, importModel } from '../../../graphs/imported/import-model.js';
import { type ImportedTask, importedObjective } from '../../../graphs/objectives/imported.js';
import type { Attribute, Graph } from '../../../graphs/onnx/types.js';
import { onDeviceTrainingGraph } from '../../../graphs/ort-training/models.js';
import { type BuiltGraph, gradientName, nextName } from '../../../graphs/programs/built.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import {
  accumulateGraph,
  applyGraph,
  gradientGraph,
  packedStepGraph,
  stepGraph,
} from '../../../graphs/programs/training.js';
import type { EngineTensor, Tensors } from '../../../src/runtime/engine.js';
import { initialize } from '../../../src/weights/initialize.js';
import { noise, relativeError, runGraph } from '../run.js';
import { filled, integers, modelOf, node, type Parts, perceptron, value, weight } from './models.js';

const floats = (shape: readonly number[], values: Iterable<number>): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(values),
});
const int32 = (...values: number[]): EngineTensor => ({
  type: 'int32',
  shape: [values.length],
  data: Int32Array.from(values),
});
const ones = (count: number) => floats([count], Array(count).fill(1));
const values = (tensor: EngineTensor | undefined) => [...(tensor!.data as Float32Array)];

/** Runs a graph with the parameters as the file has them. */
const run = ({ graph, parameters }: BuiltGraph, feeds: Tensors) => {
  const first = initialize(parameters, 1);
  const state = parameters.map(({ name, shape }) => [name, floats(shape, first.get(name)!)] as const);
  return runGraph(graph, { ...Object.fromEntries(state), ...feeds });
};

const x = { x: floats([4, 3], noise(12, 9)), sample_weight: floats([4], [1, 2, 0, 1]) };
const mlp = importModel(modelOf(perceptron), { inputs: { x: [4, 3] } });
const logits = async () => {
  const own = importedObjective(mlp, {
    loss: (_, outputs) => ({ loss: () => outputs.y!, outputs: () => ({ y: outputs.y! }) }),
  });
  const { y } = await run(evaluationGraph(own), { x: x.x });
  return [0, 1, 2, 3].map((i) => values(y).slice(2 * i, 2 * i + 2)) as [number, number][];
};
const weighted = (losses: readonly number[]) => (losses[0]! + 2 * losses[1]! + losses[3]!) / 4;

describe('the loss of an imported network', () => {
  test('is the mean squared error of its output', async () => {
    const target = noise(8, 5);
    const expected = weighted(
      (await logits()).map(([a, b], i) => ((a - target[2 * i]!) ** 2 + (b - target[2 * i + 1]!) ** 2) / 2),
    );
    const graph = gradientGraph(importedObjective(mlp, { loss: { name: 'meanSquaredError' } }));
    const { loss } = await run(graph, { ...x, target: floats([4, 2], target) });
    expect(loss!.data[0]).toBeCloseTo(expected, 5);
  });

  test('is that of numbers, one a sample; one number of all is refused', async () => {
    const ending = (outputs: string[], ...nodes: Parts['nodes']) =>
      importModel(
        modelOf({
          ...{ inputs: [value('x', [4, 3])], outputs, tensors: { w: weight([3, 1], 1), axes: integers(1) } },
          nodes: [node('MatMul', ['x', 'w'], ['column']), ...nodes],
        }),
      );
    const each = node('Squeeze', ['column', 'axes'], ['y']);
    const objective = (model: ImportedModel) =>
      importedObjective(model, { loss: { name: 'meanSquaredError' } });
    const numbers = objective(ending(['y'], each));
    const feeds = { ...x, target: floats([4], [1, 2, 3, 4]) };
    const { prediction, loss } = await run(evaluationGraph(numbers), feeds);
    const squares = values(prediction).map((y, i) => (y - (i + 1)) ** 2);
    expect(values(loss)).toEqual(squares.map((square) => expect.closeTo(square, 4)));
    expect((await run(gradientGraph(numbers), feeds)).loss!.data[0]).toBeCloseTo(weighted(squares), 4);
    const all = node('ReduceMean', ['y'], ['mean'], { keepdims: { kind: 'int', value: 0 } });
    expect(() => gradientGraph(objective(ending(['mean'], each, all)))).toThrow('is one number');
  });

  test('is the cross-entropy of classes', async () => {
    const expected = weighted(
      (await logits()).map((z, i) => Math.log(Math.exp(z[0]) + Math.exp(z[1])) - z[i % 2]!),
    );
    const graph = gradientGraph(importedObjective(mlp, { loss: { name: 'crossEntropy' } }));
    const { loss } = await run(graph, { ...x, label: int32(0, 1, 0, 1) });
    expect(loss!.data[0]).toBeCloseTo(expected, 5);
  });

  test('is the binary cross-entropy of questions', async () => {
    const expected = weighted(
      (await logits()).map(([a, b]) => (Math.log(1 + Math.exp(-a)) + Math.log(1 + Math.exp(b))) / 2),
    );
    const graph = gradientGraph(importedObjective(mlp, { loss: { name: 'binaryCrossEntropy' } }));
    const { loss } = await run(graph, { ...x, label: floats([4, 2], [1, 0, 1, 0, 1, 0, 1, 0]) });
    expect(loss!.data[0]).toBeCloseTo(expected, 5);
  });

  test.each<[activation: string, task: ImportedTask, label: EngineTensor]>([
    ['Softmax', { loss: { name: 'crossEntropy' } }, int32(0, 1, 0, 1)],
    ['Sigmoid', { loss: { name: 'binaryCrossEntropy' } }, floats([4, 2], [1, 0, 1, 0, 1, 0, 1, 0])],
  ])('takes the logits of a network that ends in a %s', async (activation, task, label) => {
    const ending = importModel(
      modelOf({
        ...perceptron,
        nodes: [...perceptron.nodes, node(activation, ['y'], ['p']), node('Identity', ['p'], ['out'])],
        outputs: ['out'],
      }),
      { inputs: { x: [4, 3] } },
    );
    const losses = [mlp, ending].map(async (model) => {
      const { loss } = await run(gradientGraph(importedObjective(model, task)), { ...x, label });
      return loss!.data[0] as number;
    });
    expect(await losses[1]).toBeCloseTo((await losses[0])!, 6);
  });

  /** A network has the loss of the perceptron that gives logits. */
  async function expectSameLoss(parts: Parts, task: ImportedTask, label: EngineTensor) {
    const ending = importModel(modelOf(parts), { inputs: { x: [4, 3] } });
    const [expected, found] = await Promise.all(
      [mlp, ending].map(async (model) => {
        const { loss } = await run(gradientGraph(importedObjective(model, task)), { ...x, label });
        return loss!.data[0] as number;
      }),
    );
    expect(found).toBeCloseTo(expected!, 6);
  }

  const axis = (at: number) => ({ axis: { kind: 'int', value: at } }) as const;
  const to = (type: number) => ({ to: { kind: 'int', value: type } }) as const;
  const perm = { perm: { kind: 'ints', value: [1, 0] } } as const;
  test.each<[what: string, nodes: Parts['nodes'], opset: number]>([
    [
      'cast to half precision and back',
      [
        node('Softmax', ['y'], ['p'], axis(-1)),
        node('Cast', ['p'], ['half'], to(10)),
        node('Cast', ['half'], ['out'], to(1)),
      ],
      18,
    ],
    [
      'flattened',
      [
        node('Reshape', ['y', 'map'], ['z']),
        node('Softmax', ['z'], ['p'], axis(1)),
        node('Flatten', ['p'], ['out']),
      ],
      18,
    ],
    [
      'flattened, where it is over all axes from one on',
      [
        node('Reshape', ['y', 'map'], ['z']),
        node('Softmax', ['z'], ['p']),
        node('Reshape', ['p', 'matrix'], ['out']),
      ],
      11,
    ],
    [
      'squeezed and transposed',
      [
        node('Transpose', ['y'], ['turned'], perm),
        node('Unsqueeze', ['turned', 'last'], ['z']),
        node('Softmax', ['z'], ['p'], axis(0)),
        node('Squeeze', ['p', 'last'], ['flat']),
        node('Transpose', ['flat'], ['out']),
      ],
      18,
    ],
  ])('takes the logits before a Softmax whose values are %s', async (_, nodes, opset) => {
    const shapes = { map: integers(4, 2, 1, 1), matrix: integers(4, 2), last: integers(2) };
    const tensors = { ...perceptron.tensors, ...shapes };
    const parts = { ...perceptron, tensors, nodes: [...perceptron.nodes, ...nodes], outputs: ['out'], opset };
    await expectSameLoss(parts, { loss: { name: 'crossEntropy' } }, int32(0, 1, 0, 1));
  });

  test('takes the logits before a Sigmoid whose values are cast and in another shape', async () => {
    const nodes = [
      node('Transpose', ['y'], ['turned'], perm),
      node('Sigmoid', ['turned'], ['p']),
      node('Cast', ['p'], ['cast'], to(1)),
      node('Transpose', ['cast'], ['out'], perm),
    ];
    const parts = { ...perceptron, nodes: [...perceptron.nodes, ...nodes], outputs: ['out'] };
    const label = floats([4, 2], [1, 0, 1, 0, 1, 0, 1, 0]);
    await expectSameLoss(parts, { loss: { name: 'binaryCrossEntropy' } }, label);
  });

  test('is that of an inner value, which needs only what lies before it', async () => {
    const objective = importedObjective(mlp, { output: 'r', loss: { name: 'meanSquaredError' } });
    const built = gradientGraph(objective);
    expect(built.parameters.map(({ name }) => name)).toEqual(['first.weight', 'first.bias']);
  });

  test.each<[what: string, task: ImportedTask, message: string]>([
    [
      'of an output that is not there',
      { output: 'z', loss: { name: 'dice' } },
      'the network has no value "z"',
    ],
    ['that needs a map', { loss: { name: 'dice' } }, 'the loss "dice" needs a map'],
    ['of nothing', { loss: [] }, 'a task needs a loss'],
    [
      'that no weight changes',
      { loss: (net) => ({ loss: () => net.g.scalar(1), outputs: () => ({}) }) },
      'the loss does not depend on any of the weights that are trained',
    ],
  ])('%s is refused', (_, task, message) => {
    expect(() => gradientGraph(importedObjective(mlp, task))).toThrow(message);
  });
});

/** x [2,1,4,4] → y [2,2,4,4] */
const segmenter: Parts = {
  inputs: [value('x', [2, 1, 4, 4])],
  outputs: ['y'],
  nodes: [node('Conv', ['x', 'w', 'b'], ['y'])],
  tensors: { w: weight([2, 1, 1, 1], 1), b: weight([2], 2) },
};

const softmax = (from: string, to: string) =>
  node('Softmax', [from], [to], { axis: { kind: 'int', value: 1 } });

describe('maps', () => {
  const image = floats([2, 1, 4, 4], noise(32, 3));
  // The second class where the image is bright.
  const mask: EngineTensor = {
    type: 'uint8',
    shape: [2, 2, 4, 4],
    data: Uint8Array.from({ length: 64 }, (_, i) => {
      const bright = (image.data[(i % 16) + 16 * Math.floor(i / 32)] as number) > 0;
      return Number(bright === (Math.floor(i / 16) % 2 === 1));
    }),
  };
  const feeds = { x: image, mask, sample_weight: ones(2) };

  test.each<[name: string, loss: ImportedTask['loss']]>([
    ['Dice', { name: 'dice' }],
    ['binary cross-entropy', { name: 'binaryCrossEntropy' }],
    ['cross-entropy', { name: 'crossEntropy' }],
    ['cross-entropy and Dice', [{ name: 'crossEntropy' }, { name: 'dice' }]],
  ])('are segmented better with every step, by %s', async (_, loss) => {
    const objective = importedObjective(importModel(modelOf(segmenter)), { loss });
    const built = stepGraph(objective, {
      optimizer: { name: 'sgd', momentum: 0, weightDecay: 0 },
      clipNorm: null,
    });
    const first = initialize(built.parameters, 1);
    let state = Object.fromEntries(
      built.parameters.map(({ name, shape }) => [name, floats(shape, first.get(name)!)]),
    );
    const slots = Object.fromEntries(
      built.parameters.map(({ name, shape }) => [
        `optimizer.momentum.${name}`,
        floats(shape, Array(2).fill(0)),
      ]),
    );
    const losses: number[] = [];
    for (let step = 1; step <= 3; step++) {
      const scalars = { step: floats([], [step]), learning_rate: floats([], [0.5]) };
      const out = await runGraph(built.graph, { ...feeds, ...state, ...slots, ...scalars });
      losses.push(out.loss!.data[0] as number);
      state = Object.fromEntries(Object.keys(state).map((name) => [name, out[nextName(name)]!]));
    }
    expect(losses[1]).toBeLessThan(losses[0]!);
    expect(losses[2]).toBeLessThan(losses[1]!);
  });

  test('of classes that exclude each other have probabilities that add up to 1', async () => {
    const objective = importedObjective(importModel(modelOf(segmenter)), { loss: { name: 'crossEntropy' } });
    const { probabilities } = await run(evaluationGraph(objective), feeds);
    const p = values(probabilities);
    expect(p[0]! + p[16]!).toBeCloseTo(1, 6);
  });

  test('are of classes along axis 1, also where a Softmax made them', () => {
    const ending = (nodes: Parts['nodes'], opset: number) =>
      importModel(
        modelOf({
          ...{
            inputs: [value('x', [1, 1, 3, 4])],
            outputs: ['p'],
            opset,
            tensors: { w: weight([2, 1, 1, 1], 1) },
          },
          nodes: [node('Conv', ['x', 'w'], ['c']), ...nodes],
        }),
      );
    const perm: Attribute = { kind: 'ints', value: [0, 2, 3, 1] };
    const axis = (at: number): Parts['nodes'][number]['attributes'] => ({ axis: { kind: 'int', value: at } });
    const build = (model: ImportedModel) => () =>
      gradientGraph(importedObjective(model, { loss: { name: 'crossEntropy' } }));
    const channelsLast = [node('Transpose', ['c'], ['t'], { perm }), node('Softmax', ['t'], ['p'], axis(-1))];
    expect(build(ending(channelsLast, 18))).toThrow('the Softmax of "p" is along axis 3');
    // Before version 13, over all that follows.
    expect(build(ending([node('Softmax', ['c'], ['p'])], 11))).toThrow('over all axes from 1 on');
    expect(build(ending([node('Softmax', ['c'], ['p'], axis(1))], 18))).not.toThrow();
    const back: Attribute = { kind: 'ints', value: [0, 3, 1, 2] };
    const turned = (by: Attribute) => [
      node('Transpose', ['c'], ['t'], { perm }),
      node('Softmax', ['t'], ['s'], axis(-1)),
      node('Transpose', ['s'], ['p'], { perm: by }),
    ];
    expect(build(ending(turned(back), 18))).not.toThrow();
    expect(build(ending(turned({ kind: 'ints', value: [0, 1, 3, 2] }), 18))).toThrow(
      'the Softmax of "s" is along axis 3 of [1,3,4,2], and the output is [1,3,2,4]; a loss takes classes along axis 1',
    );
    const flat = [node('Softmax', ['c'], ['s'], axis(1)), node('Flatten', ['s'], ['p'])];
    expect(build(ending(flat, 18))).toThrow('along axis 1 of [1,2,3,4], and the output is [1,24]');
  });

  test('keep the Softmax that their network ends in, whatever the loss', async () => {
    const parts = { ...segmenter, outputs: ['p'], nodes: [...segmenter.nodes, softmax('y', 'p')] };
    const objective = importedObjective(importModel(modelOf(parts)), { loss: { name: 'dice' } });
    const { probabilities } = await run(evaluationGraph(objective), feeds);
    const p = values(probabilities);
    expect(p[0]! + p[16]!).toBeCloseTo(1, 6);
  });
});

describe('Dropout', () => {
  const dropping = importModel(
    modelOf({
      inputs: [value('x', [64, 50])],
      outputs: ['y'],
      nodes: [
        node('MatMul', ['x', 'w'], ['h']),
        node('Dropout', ['h', 'ratio'], ['d1']),
        node('Dropout', ['d1', ''], ['d2']),
        node('MatMul', ['d2', 'v'], ['y']),
      ],
      tensors: {
        w: weight([50, 40], 1),
        v: weight([40, 2], 2),
        ratio: { type: 'float32', shape: [], data: Float32Array.of(0.25) },
      },
    }),
  );
  const shown = (name: string) =>
    importedObjective(dropping, {
      output: name,
      loss: ({ g }, outputs) => ({
        loss: () => g.mean(outputs[name]!, [0, 1], 0),
        outputs: () => ({ [name]: outputs[name]! }),
      }),
    });
  const seed = (number: number): EngineTensor => ({
    type: 'int64',
    shape: [],
    data: BigInt64Array.of(BigInt(number)),
  });
  const input = { x: floats([64, 50], noise(3200, 7)) };
  /** The gradient by w, which shows what was dropped. */
  const gradient = async (number: number) => {
    const objective = importedObjective(dropping, {
      loss: ({ g }, outputs) => ({ loss: () => g.sum(outputs.y!, [0, 1], 0), outputs: () => ({}) }),
    });
    const out = await run(gradientGraph(objective), { ...input, dropout_seed: seed(number) });
    return out[gradientName('w')]!.data as Float32Array;
  };

  test('drops the same with the same seed, and other values with another', async () => {
    const [first, again, other] = [await gradient(1), await gradient(1), await gradient(2)];
    expect(again).toEqual(first);
    expect(relativeError(other, first)).toBeGreaterThan(0.1);
  });

  test('drops nothing in evaluation, and needs no seed', async () => {
    const built = evaluationGraph(shown('d2'));
    expect(built.graph.inputs.map(({ name }) => name)).not.toContain('dropout_seed');
    expect(built.graph.nodes.map(({ operator }) => operator)).not.toContain('Mod');
  });
});

test('an imported network is trained on devices, packed, and in micro-batches as our own networks are', () => {
  const objective = importedObjective(mlp, { loss: { name: 'crossEntropy' } });
  const sgd = { optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 0 }, clipNorm: 1 } as const;
  const names = (graph: Graph) => graph.outputs.map(({ name }) => name);
  expect(names(onDeviceTrainingGraph(objective).graph)).toContain('first.weight_grad.accumulation.out');
  expect(names(packedStepGraph(objective, sgd, 'packed').graph)).toContain('parameters.small.next');
  expect(names(accumulateGraph(objective).graph)).toContain('gradient:first.weight.next');
  expect(names(applyGraph(objective, sgd, 2).graph)).toContain('first.weight.next');
});

/** x → convolution → batch normalisation → y. @param scale name and value @param bias of zeros, its name */
const normalised = (scale: readonly [name: string, number], bias: string): Parts => ({
  inputs: [value('x', [4, 3, 2, 2])],
  outputs: ['y'],
  nodes: [
    node('Conv', ['x', 'w'], ['c']),
    node('BatchNormalization', ['c', scale[0], bias, 'mean', 'var'], ['y']),
  ],
  tensors: {
    w: weight([2, 3, 1, 1], 1),
    [scale[0]]: filled([2], scale[1]),
    [bias]: filled([2], 0),
    mean: filled([2], 0),
    var: filled([2], 1),
  },
});

test('batch normalisation without weights is that of the batch, unless its statistics are frozen', () => {
  const outputsOf = (freeze?: (name: string) => boolean) => {
    const model = importModel(modelOf(normalised(['val_1', 1], 'val_0')), { freeze });
    const objective = importedObjective(model, { loss: { name: 'meanSquaredError' } });
    const sgd = { name: 'sgd', momentum: 0, weightDecay: 0 } as const;
    return stepGraph(objective, { optimizer: sgd, clipNorm: null }).graph.outputs.map(({ name }) => name);
  };
  expect(outputsOf()).toEqual(expect.arrayContaining(['w.next', 'mean.next', 'var.next']));
  expect(outputsOf((name) => name !== 'w')).not.toContain('mean.next');
});

test('a frozen batch normalisation uses its running statistics, keeps them, and lets gradients through', async () => {
  const parts = normalised(['scale', 2], 'bias');
  const frozen = importModel(modelOf(parts), { freeze: (name) => name === 'scale' || name === 'bias' });
  const built = gradientGraph(importedObjective(frozen, { loss: { name: 'meanSquaredError' } }));
  const step = stepGraph(importedObjective(frozen, { loss: { name: 'meanSquaredError' } }), {
    optimizer: { name: 'sgd', momentum: 0, weightDecay: 0 },
    clipNorm: null,
  });
  expect(step.graph.outputs.map(({ name }) => name)).not.toContain('mean.next');
  const image = noise(48, 3);
  const out = await run(built, {
    x: floats([4, 3, 2, 2], image),
    target: floats([4, 2, 2, 2], Array(32).fill(0)),
    sample_weight: ones(4),
  });
  // y = 2 · conv(x) / √(1 + 1e-5): its mean square, and half of its gradient, are those of a convolution four times over.
  const kernel = parts.tensors!.w!.data as Float32Array;
  const at = (n: number, k: number, p: number) =>
    [0, 1, 2].reduce((sum, c) => sum + kernel[3 * k + c]! * image[12 * n + 4 * c + p]!, 0);
  let mean = 0;
  for (let n = 0; n < 4; n++)
    for (let k = 0; k < 2; k++) for (let p = 0; p < 4; p++) mean += at(n, k, p) ** 2 / 32;
  expect(out.loss!.data[0]).toBeCloseTo((4 * mean) / (1 + 1e-5), 5);
  expect(values(out[gradientName('w')]).some((v) => Math.abs(v) > 0.01)).toBe(true);
});
