import { describe, expect, test } from 'vitest';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import type { Parameter } from '../../../graphs/nn/module.js';
import type { Objective } from '../../../graphs/objectives/objective.js';
import { restoration } from '../../../graphs/objectives/restoration.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import type { Graph } from '../../../graphs/onnx/types.js';
import { encodeCheckpoint } from '../../../graphs/ort-training/checkpoint.js';
import {
  onDeviceEvaluationGraph,
  onDeviceOptimizerGraph,
  onDeviceTrainingGraph,
  onDeviceWeightsGraph,
  type UpdateModel,
} from '../../../graphs/ort-training/models.js';
import { resolveConfig } from '../../../src/config/pretraining.js';
import type { Tensors } from '../../../src/runtime/engine.js';
import { wasmEngine, wasmTrainingSession } from '../../../src/runtime/web-node.js';
import { createStepper } from '../../../src/train/create-stepper.js';
import { initialize } from '../../../src/weights/initialize.js';
import { noise, relativeError } from '../run.js';

const encode = (graph: Graph) => encodeModel(toModel(lower(graph, { choose: plainForms })));
const RATE = 1e-2;
const constant = { learningRate: RATE, warmup: 0, decayTo: null };
const ADAM = { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;

/** A training in ONNX Runtime's interface; `weights` gives its parameters back instead of an evaluation. */
async function open(
  task: Objective,
  update: UpdateModel,
  evaluation: (parameters: readonly Parameter[]) => Graph,
  valuesOf: (parameters: readonly Parameter[]) => ReadonlyMap<string, Float32Array>,
) {
  const { graph, parameters } = onDeviceTrainingGraph(task);
  const values = valuesOf(parameters);
  const tensors = (trainable: boolean) =>
    parameters
      .filter((p) => p.trainable === trainable)
      .map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
  const session = await wasmTrainingSession({
    training: encode(graph),
    evaluation: encode(evaluation(parameters)),
    optimizer: encode(onDeviceOptimizerGraph(update)),
    checkpoint: encodeCheckpoint({ trainable: tensors(true), frozen: tensors(false), optimizer: null }),
  });
  return { session, parameters };
}
const weights = (parameters: readonly Parameter[]) => onDeviceWeightsGraph(parameters).graph;

describe('the training interface of ONNX Runtime', () => {
  const whole = [8, 8, 8] as const;
  const config = resolveConfig({
    preset: 'tiny',
    config: { proxy: 'genesis', batch: 4, network: { width: 2, levels: 2 }, threads: 1, forms: 'plain' },
  });
  const task = restoration({ batch: 4, whole, network: config.network });
  const batch = (seed: number): Tensors => {
    const values = (n: number) => ({
      type: 'float32' as const,
      shape: [4, ...whole],
      data: noise(2048, n, 0.5, 0.5),
    });
    return { corrupted: values(seed), target: values(seed + 50) };
  };

  test('trains a network as our own step does, running statistics among it', async () => {
    const start = (parameters: readonly Parameter[]) => initialize(parameters, 3);
    const update = { optimizer: ADAM, clipNorm: null, schedule: constant };
    const { session, parameters } = await open(task, update, weights, start);
    const stepper = await createStepper(
      () => task,
      { ...config, seed: 3 },
      wasmEngine('onnxruntime-training-web'),
    );
    for (let step = 1; step <= 5; step++) {
      const { loss } = await session.accumulate(batch(step));
      await session.update();
      const [own] = await stepper.run([[batch(step)]], RATE, step);
      expect(Math.abs((loss!.data[0] as number) - own!.loss)).toBeLessThan(1e-5 * own!.loss);
    }
    const [flat] = Object.values(await session.evaluate({}));
    let at = 0;
    const state = await stepper.readState();
    for (const { name, shape } of parameters) {
      const own = state.get(name)!.data as Float32Array;
      const size = shape.reduce((a, b) => a * b, 1);
      const theirs = (flat!.data as Float32Array).subarray(at, at + size);
      at += size;
      if (name.includes('running_')) expect(relativeError(theirs, own), name).toBeLessThan(1e-3);
    }
    expect(at).toBe(flat!.data.length);
    await Promise.all([session.release(), stepper.release()]);
  });

  test('evaluates with the running statistics that the training has gathered', async () => {
    const start = (parameters: readonly Parameter[]) => initialize(parameters, 3);
    const update = { optimizer: ADAM, clipNorm: null, schedule: constant };
    const { session } = await open(task, update, () => onDeviceEvaluationGraph(task).graph, start);
    const before = (await session.evaluate(batch(1))).loss!.data[0];
    // No update: only the statistics move.
    await session.accumulate(batch(1));
    const after = (await session.evaluate(batch(1))).loss!.data[0];
    expect(after).not.toBe(before);
    await session.release();
  });
});

describe('the optimiser model', () => {
  /** loss = Σ w, so that SGD takes the rate itself from each weight. */
  const sum: Objective = (net) => {
    const w = net.parameter('w.weight', [2], { kind: 'constant', value: 0 });
    const x = net.g.input('x', 'float32', [2]);
    return { loss: () => net.g.sum(net.g.add('Mul', [w, x]), [0], 0), outputs: () => ({}) };
  };
  const x = { type: 'float32', shape: [2], data: Float32Array.of(1, 3) } as const;
  const zeros = () => new Map([['w.weight', new Float32Array(2)]]);

  async function changes(update: UpdateModel, steps: number): Promise<number[][]> {
    const { session } = await open(sum, update, weights, zeros);
    const found: number[][] = [];
    let before = [0, 0];
    for (let step = 0; step < steps; step++) {
      await session.accumulate({ x });
      await session.update();
      const [values] = Object.values(await session.evaluate({}));
      const now = [...(values!.data as Float32Array)];
      found.push(now.map((value, i) => before[i]! - value));
      before = now;
    }
    await session.release();
    return found;
  }
  const sgd = (schedule: UpdateModel['schedule'], clipNorm: number | null = null): UpdateModel => ({
    optimizer: { name: 'sgd' },
    clipNorm,
    schedule,
  });

  test('begins with the full rate, and keeps it', async () => {
    for (const [first, second] of await changes(sgd(constant), 3)) {
      expect(first).toBeCloseTo(RATE, 7);
      expect(second).toBeCloseTo(3 * RATE, 7);
    }
  });

  test('raises the rate and lets it fall to 0, whatever rate the runtime hands it', async () => {
    const found = await changes(sgd({ learningRate: RATE, warmup: 2, decayTo: 6 }), 7);
    const expected = [0.5, 1, 0.75, 0.5, 0.25, 0, 0];
    for (const [i, [first]] of found.entries()) expect(first).toBeCloseTo(RATE * expected[i]!, 7);
  });

  test('shortens gradients that are longer than allowed', async () => {
    const [[first, second]] = (await changes(sgd(constant, 1), 1)) as [[number, number]];
    expect(Math.hypot(first, second)).toBeCloseTo(RATE, 7);
    expect(second / first).toBeCloseTo(3, 4);
  });

  test('sums gradients until an update', async () => {
    const { session } = await open(sum, sgd(constant), weights, zeros);
    for (let i = 0; i < 3; i++) await session.accumulate({ x });
    await session.update();
    const [values] = Object.values(await session.evaluate({}));
    expect((values!.data as Float32Array)[0]).toBeCloseTo(-3 * RATE, 7);
    await session.release();
  });
});
