/** Compares what training does to an imported network with what PyTorch did to it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { fastForms } from '../../../graphs/forms/index.js';
import type { BlockedLayout } from '../../../graphs/forms/layout.js';
import { lower } from '../../../graphs/forms/lower.js';
import type { ImportedModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { sizeOf, type Tensor } from '../../../graphs/onnx/types.js';
import { type BuiltGraph, nextName, slotName } from '../../../graphs/programs/built.js';
import { stepGraph } from '../../../graphs/programs/training.js';
import { blockedLayout } from '../../../src/execution/blocked-layout.js';
import type { EngineTensor, Session, Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';

type Floats = Float32Array;
/**
 * `x`, `target`, `loss`, and `value/`, `gradient/` and `after/` of every parameter: see `golden/make_imported.py`. Also `x/1`…, which
 * is `x` with every value rounded to the float next to it: see `golden/make_networks.py`.
 */
export type Results = ReadonlyMap<string, Tensor>;
/** How PyTorch was run. */
export const OPTIMIZER = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-3, weightDecay: 0 } as const;
const LEARNING_RATE = 1e-3;
const STEPS = 3;

const floats = (shape: readonly number[], data: Floats): EngineTensor => ({ type: 'float32', shape, data });
const zeros = (shape: readonly number[]) => floats(shape, new Float32Array(sizeOf(shape)));

const largest = (values: Floats): number => {
  let most = 0;
  for (const v of values) if (!(Math.abs(v) <= most)) most = Math.abs(v);
  return most;
};

/** The largest difference. */
function distance(a: Floats, b: Floats): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    // Not a number is farthest of all.
    if (!(difference <= most)) most = difference;
  }
  return most;
}

/** The transpose of a matrix. */
function transposed({ shape, data }: Tensor): Floats {
  const [rows, columns] = shape as [number, number];
  return Float32Array.from(
    { length: data.length },
    (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number,
  );
}

/** Where a gradient or a step is further off, it is asked whether rounding is the reason. */
export const EXACT = 1e-4;

/** How far from PyTorch's float64 something is, in relation: see {@link errorsOf}. */
export interface Errors {
  /** The largest error of a gradient, relative to the largest value of that gradient. */
  readonly gradient: number;
  /** The parameter whose gradient that is. */
  readonly worst: string;
  /** The largest error of a weight after three steps of Adam, relative to the largest change of any. */
  readonly step: number;
  /** The largest error of a running mean or variance after them, relative to its largest value. */
  readonly statistics: number;
}

/** @param errorOf the largest error of `gradient/` and `after/` tensors; `undefined` for what is not compared */
export function errorsOf(results: Results, errorOf: (key: string) => number | undefined): Errors {
  const sizes = new Map(
    namesOf(results, 'gradient/').map((name) => [
      name,
      largest(results.get(`gradient/${name}`)!.data as Floats),
    ]),
  );
  const most = Math.max(...sizes.values());
  // A gradient that is zero, as of a bias before a normalisation, has no size of its own.
  const gradients = [...sizes].map(([name, size]) => ({
    name,
    error: (errorOf(`gradient/${name}`) ?? 0) / (size < 1e-10 * most ? most : size),
  }));
  const worst = gradients.reduce((a, b) => (b.error > a.error ? b : a));
  const parameters = namesOf(results, 'value/');
  const dataOf = (key: string) => results.get(key)!.data as Floats;
  const changed = Math.max(
    ...parameters.map((name) => distance(dataOf(`after/${name}`), dataOf(`value/${name}`))),
  );
  // A layer whose result nobody reads has statistics in PyTorch, and is not exported.
  const isRead = (layer: string) =>
    !results.has(`value/${layer}.weight`) || results.has(`gradient/${layer}.weight`);
  const statistics = namesOf(results, 'after/').filter((name) => {
    const [, layer] = /^(.*)\.running_(?:mean|var)$/.exec(name) ?? [];
    return layer !== undefined && isRead(layer);
  });
  return {
    gradient: worst.error,
    worst: worst.name,
    step: Math.max(...parameters.map((name) => errorOf(`after/${name}`) ?? 0)) / changed,
    statistics: Math.max(
      0,
      ...statistics.map(
        (name) =>
          (errorOf(`after/${name}`) ?? Number.POSITIVE_INFINITY) /
          Math.max(largest(dataOf(`after/${name}`)), 1e-30),
      ),
    ),
  };
}

/** A parameter of PyTorch's, and the one that it became. Exporters store the matrices of linear layers in either way. */
interface Pair {
  readonly name: string;
  readonly isTransposed: boolean;
}

/** By value, since exporters rename parameters; of equal ones that of the same name. */
function pairsOf(results: Results, model: ImportedModel): Map<string, Pair> {
  const bySize = new Map<number, Set<ImportedModel['parameters'][number]>>();
  for (const parameter of model.parameters) {
    if (!parameter.trainable) continue;
    const size = parameter.values.length;
    bySize.set(size, (bySize.get(size) ?? new Set()).add(parameter));
  }
  const pairs = new Map<string, Pair>();
  for (const name of namesOf(results, 'value/')) {
    const value = results.get(`value/${name}`)!;
    const own = value.data as Floats;
    const free = bySize.get(own.length) ?? new Set();
    const tolerance = 2e-5 * (1 + largest(own));
    const find = (wanted: Floats) => {
      const fitting = [...free].filter((p) => distance(wanted, p.values) <= tolerance);
      return fitting.find((p) => p.name === name) ?? fitting[0];
    };
    const straight = find(own);
    const found = straight ?? (value.shape.length === 2 ? find(transposed(value)) : undefined);
    if (!found) continue;
    free.delete(found);
    pairs.set(name, { name: found.name, isTransposed: found !== straight });
  }
  return pairs;
}

const namesOf = (results: Results, kind: string): string[] =>
  [...results.keys()].flatMap((key) => (key.startsWith(kind) ? [key.slice(kind.length)] : []));

export interface Comparison {
  /** PyTorch's parameters that reach the loss, and how many of them are trained here. */
  readonly parameters: number;
  readonly found: number;
  readonly missing: readonly string[];
  /** Trained here without being PyTorch's. */
  readonly others: readonly string[];
  /** Of the loss, relative. */
  readonly loss: number;
  /**
   * Of the step graph in standard operators: with the input as it is and, if anything is then further off than {@link EXACT}, with
   * inputs rounded to the floats next to it.
   */
  readonly errors: readonly Errors[];
  /** The same after one step of the graph that is trained, in the forms that are fastest on this machine. */
  readonly fast: readonly Pick<Errors, 'gradient' | 'worst'>[];
}

/** Steps of a training graph, from the weights that the file has. */
class Steps {
  #state: Record<string, EngineTensor>;
  /** Gradients of the first step: Adam begins with a mean of zero. */
  readonly gradients = new Map<string, Floats>();
  loss = 0;

  constructor(
    readonly session: Session,
    { graph }: BuiltGraph,
    { parameters }: ImportedModel,
  ) {
    const slots = graph.inputs.filter(({ name }) => name.startsWith('optimizer.'));
    this.#state = Object.fromEntries([
      ...slots.map(({ name, shape }) => [name, zeros(shape as number[])] as const),
      ...parameters.map(({ name, shape, values }) => [name, floats(shape, values)] as const),
    ]);
  }

  /** @param step from 1 */
  async run(batch: Tensors, step: number): Promise<void> {
    const scalars = {
      step: floats([], Float32Array.of(step)),
      learning_rate: floats([], Float32Array.of(LEARNING_RATE)),
    };
    const next = await this.session.run({ ...batch, ...scalars, ...this.#state });
    this.#state = Object.fromEntries(
      Object.entries(this.#state).map(([name, old]) => [name, next[nextName(name)] ?? old]),
    );
    if (step > 1) return;
    this.loss = next.loss!.data[0] as number;
    const prefix = slotName('m', '');
    for (const [name, { data }] of Object.entries(this.#state))
      if (name.startsWith(prefix))
        this.gradients.set(
          name.slice(prefix.length),
          (data as Floats).map((v) => v / (1 - OPTIMIZER.beta1)),
        );
  }

  tensor(name: string): Floats | undefined {
    return this.#state[name]?.data as Floats | undefined;
  }
}

/**
 * What the step graph of a model is fed: all samples count alike.
 *
 * @param input of the results: `x`, or `x/1`…
 */
export function batchOf(model: ImportedModel, results: Results, input = 'x'): Tensors {
  const [x, target] = [results.get(input)!, results.get('target')!];
  const [samples] = target.shape as [number];
  return {
    [model.inputs[0]!.name]: x,
    target,
    sample_weight: floats([samples], new Float32Array(samples).fill(1)),
  };
}

/** Paths of a network in training mode, and of what PyTorch makes of it, in a folder that `golden/make_networks.py` has written. */
export function trainingCase(folder: string): Readonly<Record<'model' | 'results', string>> {
  const cases: { mode: string; model: string; results: string; error?: string }[] = JSON.parse(
    readFileSync(join(folder, 'cases.json'), 'utf8'),
  );
  const { model, results } = cases.find(({ mode, error }) => mode === 'train' && !error)!;
  return { model: join(folder, model), results: join(folder, results) };
}

export async function compare(model: ImportedModel, results: Results): Promise<Comparison> {
  const objective = importedObjective(model, { loss: { name: 'meanSquaredError' } });
  const batch = batchOf(model, results);
  const pairs = pairsOf(results, model);
  const expected = namesOf(results, 'gradient/');
  const paired = expected.filter((name) => pairs.has(name));
  const ours = new Set(paired.map((name) => pairs.get(name)!.name));
  const errorIn = (steps: Steps) => (key: string) => {
    const slash = key.indexOf('/');
    const [kind, name] = [key.slice(0, slash), key.slice(slash + 1)];
    const pair = pairs.get(name) ?? (results.has(`value/${name}`) ? null : { name, isTransposed: false });
    if (!pair) return undefined;
    const own = kind === 'gradient' ? steps.gradients.get(pair.name) : steps.tensor(pair.name);
    const tensor = results.get(key)!;
    return own && distance(own, pair.isTransposed ? transposed(tensor) : (tensor.data as Floats));
  };

  const built = stepGraph(objective, { optimizer: OPTIMIZER, clipNorm: null });
  const load = async (blocked: BlockedLayout | null) => {
    const lowered = lower(built.graph, { choose: fastForms, blocked });
    return nodeEngine.load(encodeModel(toModel(lowered)), { threads: 1, rewrite: 'nothing' });
  };
  const stepsOn = async (session: Session, batch: Tensors, count: number) => {
    const steps = new Steps(session, built, model);
    for (let step = 1; step <= count; step++) await steps.run(batch, step);
    return steps;
  };
  const errorsOfSteps = (steps: Steps) => errorsOf(results, errorIn(steps));

  const standard = await load(null);
  const trained = await load(await blockedLayout(nodeEngine));
  const exact = await stepsOn(standard, batch, STEPS);
  const errors = [errorsOfSteps(exact)];
  const fast = [errorsOfSteps(await stepsOn(trained, batch, 1))];
  if ([...errors, ...fast].some((e) => e.gradient > EXACT) || errors[0]!.step > EXACT)
    for (const name of namesOf(results, 'x/')) {
      const rounded = batchOf(model, results, `x/${name}`);
      errors.push(errorsOfSteps(await stepsOn(standard, rounded, STEPS)));
      fast.push(errorsOfSteps(await stepsOn(trained, rounded, 1)));
    }
  await standard.release();
  await trained.release();

  return {
    parameters: expected.length,
    found: paired.length,
    missing: expected.filter((name) => !pairs.has(name)),
    others: model.report.trained.map(({ name }) => name).filter((name) => !ours.has(name)),
    loss: Math.abs(exact.loss / (results.get('loss')!.data[0] as number) - 1),
    errors,
    fast,
  };
}
