import { describe, expect, test } from 'vitest';
import type { OwnLoss } from '../../graphs/objectives/imported.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import type { Node, Tensor } from '../../graphs/onnx/types.js';
import { UserError } from '../../src/errors.js';
import type { Engine, EngineTensor } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { wasmEngine } from '../../src/runtime/web-node.js';
import {
  type ModelTraining,
  type ModelTrainingOptions,
  openModelTraining,
} from '../../src/train/model-training.js';
import { importCase } from '../graphs/imported/golden.js';
import { modelOf, node, perceptron, value, weight } from '../graphs/imported/models.js';
import { noise } from '../graphs/run.js';

/** A residual network with batch normalisation: x float32 → y, [N,1]. */
const { bytes: model, results } = importCase('residual legacy training');
const floats = (shape: readonly number[], data: Float32Array): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});
const tensor = (name: string) => {
  const { shape, data } = results.get(name)!;
  return floats(shape, Float32Array.from(data as Float32Array));
};
const batch = { x: tensor('x'), target: tensor('target') };
const adam = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 0 } as const;

async function opened<T>(
  options: Partial<ModelTrainingOptions>,
  use: (training: ModelTraining) => Promise<T>,
): Promise<T> {
  const training = await openModelTraining({
    ...{ engine: nodeEngine, model, inputs: { x: batch.x.shape }, optimizer: adam, threads: 1 },
    loss: { name: 'meanSquaredError' },
    ...options,
  });
  try {
    return await use(training);
  } finally {
    await training.release();
  }
}

const losses = (engine: Engine, steps: number) =>
  opened({ engine }, async (training) => {
    const found: number[] = [];
    for (let i = 0; i < steps; i++) found.push((await training.step(batch, 1e-2)).loss);
    return found;
  });

describe('training of an ONNX model', () => {
  test('learns; the file it gives is the model it was, and computes what it has learnt', async () => {
    const { before, after, trained, predicted } = await opened({}, async (training) => {
      expect(training.inputs.map(({ name }) => name)).toEqual(['x', 'target', 'sample_weight']);
      const loss = async () => {
        const { loss: found } = await training.evaluate(batch);
        return Math.max(...(found!.data as Float32Array));
      };
      const first = await loss();
      for (let i = 0; i < 60; i++) await training.step(batch, 1e-2);
      const { prediction } = await training.evaluate(batch);
      return {
        ...{ before: first, after: await loss() },
        ...{ trained: await training.trainedModel(), predicted: prediction!.data as Float32Array },
      };
    });
    expect(after).toBeLessThan(0.2 * before);
    const session = await nodeEngine.load(trained, { threads: 1 });
    const output = Object.values(await session.run({ x: batch.x }))[0]!.data as Float32Array;
    await session.release();
    expect(output).toHaveLength(predicted.length);
    for (const [i, value] of output.entries()) expect(value).toBeCloseTo(predicted[i]!, 4);
  });

  test('on WebAssembly it makes the same steps', async () => {
    const [native, web] = [await losses(nodeEngine, 4), await losses(wasmEngine('onnxruntime-web'), 4)];
    for (const [i, loss] of web.entries())
      expect(Math.abs(loss - native[i]!)).toBeLessThan(1e-4 * native[i]!);
  });

  test('frozen weights stay as they are', async () => {
    const all = await opened({}, async ({ report }) => report.trained.map(({ name }) => name));
    const [head] = all.filter((name) => name.startsWith('head'));
    await opened({ freeze: (name) => !name.startsWith('head') }, async (training) => {
      expect(training.report.trained.map(({ name }) => name)).toContain(head);
      expect(training.report.trained.length + training.report.frozen.length).toBe(all.length);
      const { loss } = await training.step(batch, 1e-2);
      expect((await training.step(batch, 1e-2)).loss).toBeLessThan(loss);
    });
  });

  test('a batch that does not suit is refused by name', async () => {
    await opened({}, async (training) => {
      const { x, target } = batch;
      await expect(training.step({ x })).rejects.toThrow(/^target: something of the batch is missing/);
      const fewer = floats(
        [1, ...x.shape.slice(1)],
        x.data.slice(0, x.data.length / x.shape[0]!) as Float32Array,
      );
      await expect(training.step({ x: fewer, target })).rejects.toThrow(
        /does not suit[\s\S]*got: +float32 \[1,/,
      );
      await expect(training.step({ x: { ...x, type: 'int32' }, target })).rejects.toThrow(UserError);
      await expect(training.step({ x: { ...x, data: x.data.slice(1) }, target })).rejects.toThrow(
        `with ${x.data.length - 1} values`,
      );
      // As JavaScript may have it.
      const bare = x.data as unknown as EngineTensor;
      await expect(training.step({ x: bare, target })).rejects.toThrow(/got: +no \{ type, shape, data \}/);
    });
  });

  const perceptronOf = (nodes: readonly Node[], outputs: readonly string[]) =>
    modelOf({ ...perceptron, nodes: [...perceptron.nodes, ...nodes], outputs });
  const features = floats([4, 3], noise(12, 1));
  const labels = (...of: number[]): EngineTensor => ({
    type: 'int32',
    shape: [4],
    data: Int32Array.from(of),
  });
  const classes = { inputs: { x: [4, 3] }, loss: { name: 'crossEntropy' } } as const;

  test('a class that there is not is refused', async () => {
    await opened({ model: modelOf(perceptron), ...classes }, async (training) => {
      await training.step({ x: features, label: labels(0, 1, 1, 0) });
      await expect(training.step({ x: features, label: labels(0, 1, 2, 0) })).rejects.toThrow(
        /^label: there is no such class\n {2}got: +2\n {2}expected: 0 to 1$/,
      );
    });
  });

  test.each([
    ['before', { scale: [], x: [4, 3] }],
    ['behind', { x: [4, 3], scale: [] }],
  ])('an input that is one number may be %s the others', async (_, inputs) => {
    const scaled = modelOf({
      ...perceptron,
      inputs: [value('scale', []), ...perceptron.inputs],
      nodes: [
        node('Mul', ['x', 'scale'], ['scaled']),
        ...perceptron.nodes.map((n) => ({ ...n, inputs: n.inputs.map((i) => (i === 'x' ? 'scaled' : i)) })),
      ],
    });
    const label = labels(0, 1, 1, 0);
    const expected = await opened({ model: modelOf(perceptron), ...classes }, (training) =>
      training.step({ x: features, label }),
    );
    await opened({ model: scaled, ...classes, inputs }, async (training) => {
      const scale = floats([], Float32Array.of(1));
      expect((await training.step({ x: features, scale, label })).loss).toBeCloseTo(expected.loss, 6);
    });
  });

  test.each([
    ['Node.js', nodeEngine],
    ['WebAssembly', wasmEngine('onnxruntime-web')],
  ])('calls that do not wait for each other are made one after the other, in %s', async (_, engine) => {
    const given = { x: features, label: labels(0, 1, 1, 0) };
    const options = { model: modelOf(perceptron), ...classes, engine };
    const waiting = await opened(options, async (training) => {
      const first = [await training.step(given), await training.step(given)];
      return [...first, await training.evaluate(given), await training.trainedModel()];
    });
    const hasty = await opened(options, (training) => {
      const first = [training.step(given), training.step(given)];
      return Promise.all([...first, training.evaluate(given), training.trainedModel(), training.step(given)]);
    });
    expect(hasty.slice(0, -1)).toEqual(waiting);
  });

  test('a call that fails keeps none behind it from being made', async () => {
    await opened({ model: modelOf(perceptron), ...classes }, async (training) => {
      const given = { x: features, label: labels(0, 1, 1, 0) };
      const [refused, made] = await Promise.allSettled([training.step({}), training.step(given)]);
      expect(refused).toMatchObject({ status: 'rejected', reason: expect.any(UserError) });
      expect(made).toMatchObject({ status: 'fulfilled', value: { loss: expect.any(Number) } });
    });
  });

  test('of all that is loaded nothing is left after its release, and nothing is loaded anew', async () => {
    let open = 0;
    const engine: Engine = {
      ...nodeEngine,
      async load(...args) {
        const session = await nodeEngine.load(...args);
        open++;
        const release = () => {
          open--;
          return session.release();
        };
        return { ...session, release };
      },
    };
    const given = { x: features, label: labels(0, 1, 1, 0) };
    const training = await openModelTraining({
      ...{ engine, model: modelOf(perceptron), ...classes, threads: 1 },
    });
    const evaluated = [training.evaluate(given), training.evaluate(given)];
    await Promise.all([...evaluated, training.release(), training.release()]);
    await training.release();
    for (const call of [
      () => training.step(given),
      () => training.steps([given]),
      () => training.evaluate(given),
      () => training.trainedModel(),
    ])
      await expect(call()).rejects.toThrow(/^this training is released\n {2}fix: +open another one$/);
    expect(open).toBe(0);
  });

  test('weights that the loss does not need stay as they are, and are in the file', async () => {
    const other = node('MatMul', ['r', 'other.weight'], ['z']);
    const tensors: Record<string, Tensor> = { ...perceptron.tensors, 'other.weight': weight([4, 5], 7) };
    const two = modelOf({
      ...perceptron,
      tensors,
      nodes: [...perceptron.nodes, other],
      outputs: ['y', 'z'],
    });
    const written = await opened({ model: two, ...classes }, async (training) => {
      await training.step({ x: features, label: labels(0, 1, 1, 0) });
      return decodeModel(await training.trainedModel()).graph;
    });
    expect(written.initializers.get('other.weight')).toEqual(tensors['other.weight']);
    expect(written.initializers.get('second.weight')).not.toEqual(tensors['second.weight']);
  });

  test('an operator that is not supported may lead to another output', async () => {
    const two = perceptronOf([node('Unknown', ['y'], ['class'], {}, 'org.example')], ['y', 'class']);
    await opened({ model: two, ...classes, output: 'y' }, async (training) => {
      await training.step({ x: features, label: labels(0, 1, 1, 0) });
      expect(decodeModel(await training.trainedModel()).graph.nodes.at(-1)!.operator).toBe('Unknown');
    });
  });

  test('of float64 is made in float32, and written in float64', async () => {
    const tensors = Object.entries(perceptron.tensors!).map(
      ([name, { shape, data }]) =>
        [name, { type: 'float64', shape, data: Float64Array.from(data as Float32Array) }] as const,
    );
    const double = modelOf({
      ...perceptron,
      inputs: perceptron.inputs.map((input) => ({ ...input, type: 'float64' })),
      tensors: Object.fromEntries(tensors),
    });
    await opened({ model: double, ...classes }, async (training) => {
      await training.step({ x: features, label: labels(0, 1, 1, 0) });
      const { initializers } = decodeModel(await training.trainedModel()).graph;
      expect([...initializers.values()].map(({ type }) => type)).toEqual(tensors.map(() => 'float64'));
    });
  });

  test('a loss that depends on no weight is refused', async () => {
    const squared = perceptronOf([node('Mul', ['x', 'x'], ['s'])], ['y', 's']);
    const options = { model: squared, inputs: { x: [4, 3] } };
    const one: OwnLoss = ({ g }, { y }) => ({ loss: () => g.scalar(1), outputs: () => ({ y: y! }) });
    await expect(opened({ ...options, output: 's' }, async () => {})).rejects.toThrow(
      /nothing to train: no tensor that its outputs depend on is a weight/,
    );
    await expect(opened({ ...options, loss: one }, async () => {})).rejects.toThrow(
      /the loss does not depend on any of the weights that are trained/,
    );
  });

  test('after a rate that is too high the training is lost, and says so', async () => {
    await opened({ optimizer: { name: 'sgd', momentum: 0, weightDecay: 0 } }, async (training) => {
      const run = async () => {
        for (let i = 0; i < 50; i++) await training.step(batch, 1e30);
      };
      await expect(run()).rejects.toThrow(/^step (\d+): .*no longer a finite number[\s\S]*begin anew/);
      for (const call of [
        () => training.step(batch),
        () => training.steps([]),
        () => training.evaluate(batch),
        () => training.trainedModel(),
      ])
        await expect(call()).rejects.toThrow(/^step \d+: this training is lost[\s\S]*begin anew/);
    });
  });

  test.each([
    ['Node.js', nodeEngine],
    ['WebAssembly', wasmEngine('onnxruntime-web')],
  ])('the first of several steps without a finite loss is named, in %s', async (_, engine) => {
    await opened({ model: modelOf(perceptron), ...classes, engine }, async (training) => {
      const given = { x: features, label: labels(0, 1, 1, 0) };
      const spoilt = { ...given, x: floats([4, 3], new Float32Array(12).fill(Number.NaN)) };
      await training.step(given);
      await expect(training.steps([given, spoilt, given])).rejects.toThrow(/^step 3: /);
      await expect(training.trainedModel()).rejects.toThrow(/^step 3: this training is lost/);
    });
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e39, -0.1, '0.1' as unknown as number])(
    'a learning rate of %s is refused before the step',
    async (rate) => {
      const given = { x: features, label: labels(0, 1, 1, 0) };
      await opened({ model: modelOf(perceptron), ...classes }, async (training) => {
        const before = await training.trainedModel();
        await expect(training.step(given, rate)).rejects.toThrow(/^learningRate: [\s\S]*got: /);
        expect(await training.trainedModel()).toEqual(before);
        expect((await training.step(given, 0)).loss).toBeGreaterThan(0);
      });
    },
  );

  test('settings of an optimiser that are left out are those of a configuration', async () => {
    const given = { x: features, label: labels(0, 1, 1, 0) };
    const trained = (optimizer: ModelTrainingOptions['optimizer']) =>
      opened({ model: modelOf(perceptron), ...classes, optimizer }, async (training) => {
        await training.steps([given, given]);
        return training.trainedModel();
      });
    expect(await trained({ name: 'adam' })).toEqual(await trained({ ...adam, epsilon: 1e-8 }));
    expect(await trained({ name: 'sgd' })).toEqual(
      await trained({ name: 'sgd', momentum: 0.9, weightDecay: 0 }),
    );
  });

  test.each<[what: string, options: object]>([
    ['clipNorm: expected more than 0, got -1', { clipNorm: -1 }],
    ['clipNorm: expected a number, got NaN', { clipNorm: Number.NaN }],
    ['threads: expected an integer, got 1.5', { threads: 1.5 }],
    ['optimizer.beta1: expected less than 1, got 2', { optimizer: { ...adam, beta1: 2 } }],
    ['optimizer.rate: unknown key', { optimizer: { name: 'sgd', rate: 1 } }],
    ['optimizer.name: expected one of adam, adamw, sgd', { optimizer: { name: 'rmsprop' } }],
  ])('options that cannot be are refused: %s', async (what, options) => {
    await expect(opened(options, async () => {})).rejects.toThrow(`options: ${what}`);
  });

  test.each([
    ['no model', { model: new Uint8Array(20) }],
    ['sizes that do not suit', { inputs: { x: [1, 7, 8, 8] } }],
    ['an output that is not there', { output: 'z' }],
    ['a loss that does not suit', { loss: { name: 'dice' } as const }],
  ])('%s is an error for the user', async (_, options) => {
    await expect(opened(options, async () => {})).rejects.toThrow(UserError);
  });
});
