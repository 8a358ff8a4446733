import { describe, expect, test } from 'vitest';
import { fastForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { type ImportedModel, importModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { sizeOf, type Tensor } from '../../../graphs/onnx/types.js';
import { nextName } from '../../../graphs/programs/built.js';
import { gradientGraph, stepGraph } from '../../../graphs/programs/training.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { runGraph } from '../run.js';
import { type ImportCase, importCases } from './golden.js';

type Floats = ArrayLike<number>;
const floats = (shape: readonly number[], data: Float32Array): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});
const adam = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 0 } as const;

const lossOf = (model: ImportedModel) => importedObjective(model, { loss: { name: 'meanSquaredError' } });

/** What a graph is fed beside its state. */
function batchOf({ results }: ImportCase): Record<string, EngineTensor> {
  const [x, target] = [results.get('x')!, results.get('target')!];
  const [samples] = x.shape as [number];
  return { x, target, sample_weight: floats([samples], new Float32Array(samples).fill(1)) };
}

const stateOf = ({ parameters }: ImportedModel): Record<string, EngineTensor> =>
  Object.fromEntries(parameters.map(({ name, shape, values }) => [name, floats(shape, values)]));

/** The transpose of a matrix, since exporters store those of linear layers in either way; nothing for all else. */
function transposed({ shape, data }: Tensor): Floats[] {
  const [rows, columns] = shape as [number, number];
  if (shape.length !== 2) return [];
  return [
    Float32Array.from(
      { length: data.length },
      (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number,
    ),
  ];
}

const largest = (values: Floats): number =>
  Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const distance = (a: Floats, b: Floats): number =>
  a.length === b.length ? largest(Array.from(a, (v, i) => v - b[i]!)) : Number.POSITIVE_INFINITY;

/** Zero biases, which the optimiser of the newer exporter removes, whatever they are there for. */
const GONE: Readonly<Record<string, readonly string[]>> = {
  'merged dynamo dynamic': ['blocks.0.attention.out_proj.bias', 'blocks.1.attention.out_proj.bias'],
};

/**
 * The parameter that each of PyTorch's became: by name, or, since exporters rename those of linear layers, by what they hold. Those
 * that hold the same are told apart by their gradients.
 */
function pairs(
  { name: caseName, results }: ImportCase,
  model: ImportedModel,
  gradients: Readonly<Record<string, EngineTensor>>,
): Map<string, string> {
  const found = new Map<string, string>();
  const free = new Map(model.parameters.filter((p) => p.trainable).map((p) => [p.name, p]));
  const wanted = [...results.keys()].flatMap((key) =>
    key.startsWith('value/') ? [key.slice('value/'.length)] : [],
  );
  for (const name of wanted) {
    if (GONE[caseName]?.includes(name)) continue;
    const [value, gradient] = [results.get(`value/${name}`)!, results.get(`gradient/${name}`)!];
    const isEqual = (to: Tensor, data: Floats) =>
      [to.data as Floats, ...transposed(to)].some((own) => distance(own, data) <= 2e-5 * (1 + largest(own)));
    const same = [...free.values()].filter((p) => isEqual(value, p.values));
    const fitting = same.filter((p) =>
      isEqual(gradient, gradients[`gradient:${p.name}`]!.data as Float32Array),
    );
    const own = fitting.find((p) => p.name === name) ?? fitting[0];
    if (!own) continue;
    found.set(name, own.name);
    free.delete(own.name);
  }
  return found;
}

describe.each(importCases.map((c) => [c.name, c] as const))('%s', (_, golden) => {
  const { results, bytes } = golden;
  const model = importModel(bytes, { inputs: { x: results.get('x')!.shape } });
  const parametersOf = (kind: string) =>
    [...results].flatMap(([key, tensor]) =>
      key.startsWith(kind) ? [[key.slice(kind.length), tensor] as const] : [],
    );
  const run = async () =>
    runGraph(gradientGraph(lossOf(model)).graph, { ...batchOf(golden), ...stateOf(model) });

  test('every parameter of PyTorch is trained, and its gradient is PyTorch’s', async () => {
    const out = await run();
    const loss = results.get('loss')!.data[0] as number;
    expect(out.loss!.data[0]).toBeCloseTo(loss, 5);
    const paired = pairs(golden, model, out);
    const expected = parametersOf('value/').map(([name]) => name);
    const gone = GONE[golden.name] ?? [];
    expect([...paired.keys(), ...gone].sort()).toEqual(expected.sort());
    expect(model.report.trained).toHaveLength(paired.size);
  });

  // A bias of zero that is gone in the file moves in PyTorch.
  test.skipIf(golden.name in GONE)(
    'three steps of Adam give PyTorch’s parameters and running statistics',
    async () => {
      const paired = pairs(golden, model, await run());
      const { graph } = stepGraph(lossOf(model), { optimizer: adam, clipNorm: null });
      const session = await nodeEngine.load(encodeModel(toModel(lower(graph, { choose: fastForms }))), {
        threads: 1,
      });
      let state: Record<string, EngineTensor> = {
        ...Object.fromEntries(
          graph.inputs
            .filter(({ name }) => name.startsWith('optimizer.'))
            .map(({ name, shape }) => [
              name,
              floats(shape as number[], new Float32Array(sizeOf(shape as number[]))),
            ]),
        ),
        ...stateOf(model),
      };
      for (let step = 1; step <= 3; step++) {
        const scalars = {
          step: floats([], Float32Array.of(step)),
          learning_rate: floats([], Float32Array.of(1e-2)),
        };
        const out = await session.run({ ...batchOf(golden), ...scalars, ...state });
        state = Object.fromEntries(
          Object.entries(state).map(([name, old]) => [name, out[nextName(name)] ?? old]),
        );
      }
      await session.release();
      for (const [name, after] of parametersOf('after/')) {
        const own = state[paired.get(name) ?? name]!.data as Float32Array;
        const errors = [after.data as Floats, ...transposed(after)].map(
          (want) => distance(own, want) / largest(want),
        );
        expect(Math.min(...errors), name).toBeLessThan(1e-4);
      }
    },
  );
});
