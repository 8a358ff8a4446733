import { backward } from '../../../graphs/autodiff/backward.js';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import type { Tensor, Value } from '../../../graphs/onnx/types.js';
import { translate } from '../../../graphs/standard/index.js';
import type { EngineTensor, Session, Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { noise } from '../run.js';
import type { NodeTest } from './cases.js';

type Floats = Float32Array | Float64Array;
const isFloat = ({ type }: { type: string }) => type === 'float32' || type === 'float64';

/** Inputs of floats that decide the sizes of outputs, or how a node is computed: constants in any model. */
const CONSTANT_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Dropout: [1],
  OneHot: [0, 1],
  Range: [0, 1, 2],
  Resize: [1, 2],
  Upsample: [1],
};

interface Built {
  readonly session: Session;
  /** Inputs that the loss is differentiated by, with their values. */
  readonly variables: ReadonlyMap<string, Tensor>;
  /** Factors of the outputs in the loss L = Σ y · dy; `null` for an output that takes no part. */
  readonly dys: readonly (Float32Array | null)[];
  readonly shapes: readonly (readonly unknown[])[];
}

/** A session of the node, and of the gradient of L. */
async function build({ name, node, opset, inputs, expected }: NodeTest): Promise<Built> {
  const g = new GraphBuilder(name);
  const fixed = CONSTANT_INPUTS[node.operator] ?? [];
  const variables = new Map<string, Tensor>();
  const values = node.inputs.map((input, i): Value | null => {
    if (input === '') return null;
    const tensor = inputs.get(input)!;
    if (!isFloat(tensor) || fixed.includes(i)) return g.constant(tensor);
    variables.set(`x${i}`, tensor);
    return g.input(`x${i}`, tensor.type, tensor.shape);
  });
  const wanted = node.outputs.flatMap((output, i) => (output === '' ? [] : [i]));
  const results = translate(g, node, values, opset);
  const ys = wanted.map((i) => results[i]!);
  // What overflows or is masked out has no gradient.
  const dys = ys.map((y, i) =>
    isFloat(y) && (expected[i]!.data as Floats).every(Number.isFinite)
      ? noise(expected[i]!.data.length, 1000 + i)
      : null,
  );
  const terms = ys.flatMap((y, i) => {
    const dy = dys[i];
    if (!dy) return [];
    const factor = g.constant({
      type: y.type,
      shape: expected[i]!.shape,
      data: y.type === 'float64' ? Float64Array.from(dy) : dy,
    });
    const product = g.add('Mul', [y, factor]);
    const sum = g.sum(product, [...product.shape.keys()], 0);
    return [sum.type === 'float32' ? sum : g.add('Cast', [sum], { to: 1 })];
  });
  for (const [i, y] of ys.entries()) g.output(`y${i}`, y);
  if (terms.length > 0) {
    const sources = values.filter((value) => value && variables.has(value.name)) as Value[];
    const gradients = backward(
      g,
      terms.reduce((a, b) => g.add('Add', [a, b])),
      sources,
    );
    for (const [i, gradient] of gradients.entries()) if (gradient) g.output(`d${sources[i]!.name}`, gradient);
  }
  const model = encodeModel(toModel(lower(g.build(), { choose: plainForms })));
  const session = await nodeEngine.load(model, { threads: 1, rewrite: 'nothing' });
  return { session, variables, dys, shapes: ys.map((y) => y.shape) };
}

/** How an expected value may differ, in parts of the largest one: that of float32, or of a half type. */
const close = (got: number, want: number, scale: number, tolerance: number) =>
  Object.is(got, want) ||
  got === want ||
  (Number.isNaN(got) && Number.isNaN(want)) ||
  Math.abs(got - want) <= tolerance * Math.max(scale, Math.abs(want));

function compare(got: EngineTensor, want: Tensor, tolerance: number): string | null {
  if (got.shape.join() !== want.shape.join()) return `shape [${got.shape}] instead of [${want.shape}]`;
  const finite = Array.from(want.data as ArrayLike<number>, Number).filter(Number.isFinite);
  const scale = finite.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  for (let i = 0; i < want.data.length; i++)
    if (!close(Number(got.data[i]), Number(want.data[i]), scale, tolerance))
      return `value ${i} is ${got.data[i]} instead of ${want.data[i]}`;
  return null;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

const EPSILON = 2 ** -23;

/**
 * Compares the gradient along a random direction with differences of the loss at four points, whose error is of fourth order.
 * Where steps of h and h/2 disagree, a kink or a jump lies between; then the point is moved a little, and the step halved.
 */
async function checkDirection(built: Built, moving: readonly string[], seed: number): Promise<string | null> {
  const { session, variables, dys } = built;
  const directions = new Map(
    moving.map((name, i) => [name, noise(variables.get(name)!.data.length, seed + i)]),
  );
  let reason = 'no point without a kink';
  for (let attempt = 0; attempt < 8; attempt++) {
    const step = 2 ** -[6, 8, 4, 10][attempt % 4]!;
    const jitter = attempt === 0 ? 0 : 2 ** -5;
    const shrink = attempt < 4 ? 1 : 0.85;
    const at = (t: number): Tensors =>
      Object.fromEntries(
        [...variables].map(([name, { type, shape, data }], i) => {
          const shift = noise(data.length, 7000 + seed + 31 * attempt + i, jitter);
          const along = directions.get(name);
          const moved = (data as Floats).map((v, j) => shrink * v + shift[j]! + t * (along?.[j] ?? 0));
          return [name, { type, shape, data: moved }];
        }),
      );
    let size = 0;
    const loss = async (t: number) => {
      const results = await session.run(at(t));
      return dys.reduce((sum, dy, i) => {
        if (!dy) return sum;
        const y = results[`y${i}`]!.data as Floats;
        size = Math.max(size, Math.sqrt(dy.reduce((s, d, j) => s + (d * y[j]!) ** 2, 0)));
        return sum + dot(dy, y);
      }, 0);
    };
    const [far, near] = [
      ((await loss(step)) - (await loss(-step))) / (2 * step),
      ((await loss(step / 2)) - (await loss(-step / 2))) / step,
    ];
    const rounding = (4 * EPSILON * size) / step;
    const results = await session.run(at(0));
    let predicted = 0;
    let squares = 0;
    for (const [name, along] of directions) {
      const gradient = results[`d${name}`]?.data as Floats | undefined;
      if (!gradient) continue;
      predicted += dot(gradient, along);
      squares += along.reduce((s, a, j) => s + (a * gradient[j]!) ** 2, 0);
    }
    const difference = (4 * near - far) / 3;
    const scale = Math.max(Math.sqrt(squares), Math.abs(difference));
    if (!(Math.abs(far - near) <= 2e-3 * scale + rounding)) continue;
    if (rounding > 0.02 * scale && scale > 1e-6) continue;
    if (Math.abs(difference - predicted) <= 1e-3 * scale + rounding) return null;
    reason = `gradient along ${moving.join()}: ${predicted} instead of ${difference}`;
    if (process.env.DEBUG) console.log(reason, { far, near, scale, rounding, attempt });
  }
  return reason;
}

/** What a case shows: `null` where all is right, or what is not. */
export interface Outcome {
  readonly forward: string | null;
  readonly gradient: string | null;
}

const usesHalf = ({ name }: NodeTest) => /float16|FLOAT16|fp16|bfloat16/.test(name);

export async function check(test: NodeTest): Promise<Outcome> {
  let built: Built;
  try {
    built = await build(test);
  } catch (error) {
    const message = (error as Error).message;
    return { forward: message, gradient: message };
  }
  try {
    const { session, variables } = built;
    const feeds = Object.fromEntries(variables);
    const results = await session.run(feeds);
    const forward = test.expected
      .map(
        (want, i) =>
          compare(results[`y${i}`]!, want, usesHalf(test) ? 1e-2 : 1e-4) ??
          (built.shapes[i]!.join() === want.shape.join()
            ? null
            : `inferred shape [${built.shapes[i]}] instead of [${want.shape}]`),
      )
      .find(Boolean);
    const names = [...variables.keys()];
    const directions = names.length > 1 ? [names, ...names.map((name) => [name])] : [names, names];
    for (const [i, moving] of directions.entries()) {
      if (names.length === 0) break;
      const wrong = await checkDirection(built, moving, 100 * i + 1);
      if (wrong) return { forward: forward ?? null, gradient: wrong };
    }
    return { forward: forward ?? null, gradient: null };
  } catch (error) {
    const message = (error as Error).message;
    return { forward: message, gradient: message };
  } finally {
    await built.session.release();
  }
}
