import { backward } from '../../../graphs/autodiff/backward.js';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { formatShape, type Shape, type Tensor, TYPE_CODES, type Value } from '../../../graphs/onnx/types.js';
import { translate } from '../../../graphs/standard/index.js';
import type { EngineTensor, Session, Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { noise } from '../run.js';
import type { NodeTest } from './cases.js';

type Floats = Float32Array | Float64Array;
const isFloat = ({ type }: { readonly type: string }) => type === 'float32' || type === 'float64';

/** Inputs of floats that decide sizes, or how a node is computed: constants in any model. */
const CONSTANT_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Dropout: [1],
  OneHot: [0, 1],
  Resize: [1, 2],
  Upsample: [1],
};

interface Built {
  readonly session: Session;
  /** Inputs that the loss is differentiated by, with their values. */
  readonly variables: ReadonlyMap<string, Tensor>;
  /** Factors of the outputs in the loss L = Σ y · dy; 0 for values that are not finite, `null` for outputs of integers. */
  readonly dys: readonly (Float64Array | null)[];
  readonly shapes: readonly Shape[];
}

/** Σ y · dy, without what is not finite: it has no gradient. */
function weightedSum(g: GraphBuilder, y: Value, dy: Float64Array, { shape, data }: Tensor): Value {
  const finite = Uint8Array.from(data as Floats, (v) => Number(Number.isFinite(v)));
  const zero = g.scalar(0, y.type);
  const taken = finite.every(Boolean)
    ? y
    : g.add('Where', [g.constant({ type: 'bool', shape, data: finite }), y, zero]);
  const product = g.add('Mul', [taken, g.floats(dy, shape, y.type as 'float32')]);
  return g.add('Cast', [g.sum(product, [...product.shape.keys()], 0)], { to: TYPE_CODES.float32 });
}

/** A session of the node, y…, and of the gradients of L, dx…. */
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
  const results = translate(g, node, values, opset);
  const ys = node.outputs.flatMap((output, i) => (output === '' ? [] : [results[i]!]));
  const dys = ys.map((y, i) =>
    isFloat(y)
      ? Float64Array.from(noise(expected[i]!.data.length, 1000 + i), (d, j) =>
          Number.isFinite(expected[i]!.data[j]) ? d : 0,
        )
      : null,
  );
  for (const [i, y] of ys.entries()) g.output(`y${i}`, y);
  const terms = ys.flatMap((y, i) => (dys[i] ? [weightedSum(g, y, dys[i], expected[i]!)] : []));
  const loss = terms.reduce((a, b) => g.add('Add', [a, b]));
  const sources = values.filter((value): value is Value => !!value && variables.has(value.name));
  for (const [i, gradient] of backward(g, loss, sources).entries())
    if (gradient) g.output(`d${sources[i]!.name}`, gradient);
  const model = encodeModel(toModel(lower(g.build(), { choose: plainForms })));
  const session = await nodeEngine.load(model, { threads: 1, rewrite: 'nothing' });
  return { session, variables, dys, shapes: ys.map((y) => y.shape) };
}

/** The tolerance of the standard's own runner, and a little for values much smaller than the largest; more for half precision. */
function compare(got: EngineTensor, inferred: Shape, want: Tensor, isHalf: boolean): string | null {
  for (const shape of [got.shape, inferred])
    if (formatShape(shape) !== formatShape(want.shape))
      return `shape ${formatShape(shape)} instead of ${formatShape(want.shape)}`;
  const values = Array.from(want.data as ArrayLike<number>, Number);
  const largest = values.filter(Number.isFinite).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const [relative, absolute] = isHalf ? [1e-2, 1e-2] : [1e-3, 1e-5];
  const wrong = values.findIndex((value, i) => {
    const other = Number(got.data[i]);
    if (Object.is(other, value) || other === value) return false;
    if (!Number.isFinite(value)) return true;
    return !(Math.abs(other - value) <= relative * Math.abs(value) + absolute * largest);
  });
  return wrong < 0 ? null : `value ${wrong} is ${got.data[wrong]} instead of ${values[wrong]}`;
}

const sum = (values: ArrayLike<number>, of: (value: number, i: number) => number) =>
  Array.from(values).reduce((total, value, i) => total + of(value, i), 0);

const EPSILON = 2 ** -23;
/** Steps and places that are tried, best first: as the case has it, then a little to the side, then nearer to zero. */
const ATTEMPTS = [1, 0.85, 0.25].flatMap((factor) =>
  [2 ** -6, 2 ** -8, 2 ** -4, 2 ** -10].map((step) => ({ factor, step })),
);

/**
 * Compares the gradient along a random direction with central differences of the loss at four points, whose error is of fourth
 * order. Where steps of h and h/2 disagree, a kink or a jump lies in between, and another place or step is tried.
 */
async function checkDirection(
  { session, variables, dys }: Built,
  moving: readonly string[],
  seed: number,
): Promise<string | null> {
  // Whole sixteenths: steps of large values are exact then.
  const directions = new Map(
    moving.map((name, i) => [
      name,
      noise(variables.get(name)!.data.length, seed + i).map((v) => Math.round(16 * v) / 16),
    ]),
  );
  let reason = 'no smooth place was found';
  for (const [attempt, { factor, step }] of ATTEMPTS.entries()) {
    const places = [...variables].map(([name, { type, shape, data }], i) => {
      const shift = noise(data.length, 7000 + seed + 31 * attempt + i, attempt === 0 ? 0 : 2 ** -5);
      return { name, type, shape, data: (data as Floats).map((v, j) => factor * v + shift[j]!) };
    });
    const run = (t: number): Promise<Tensors> =>
      session.run(
        Object.fromEntries(
          places.map(({ name, type, shape, data }) => {
            const along = directions.get(name);
            return [name, { type, shape, data: along ? data.map((v, j) => v + t * along[j]!) : data }];
          }),
        ),
      );
    let size = 0;
    const loss = async (t: number): Promise<number> => {
      const results = await run(t);
      const terms = dys.map((dy, i) => {
        if (!dy) return 0;
        const y = results[`y${i}`]!.data as Floats;
        const term = (d: number, j: number) => (d === 0 ? 0 : d * y[j]!);
        size = Math.max(size, Math.sqrt(sum(dy, (d, j) => term(d, j) ** 2)));
        return sum(dy, term);
      });
      return sum(terms, (term) => term);
    };
    const far = ((await loss(step)) - (await loss(-step))) / (2 * step);
    const near = ((await loss(step / 2)) - (await loss(-step / 2))) / step;
    const difference = (4 * near - far) / 3;
    const gradients = await run(0);
    const terms = [...directions].flatMap(([name, along]) => {
      const gradient = gradients[`d${name}`]?.data as Floats | undefined;
      return gradient ? Array.from(along, (a, j) => (a === 0 ? 0 : a * gradient[j]!)) : [];
    });
    const predicted = sum(terms, (term) => term);
    const scale = Math.max(Math.sqrt(sum(terms, (term) => term ** 2)), Math.abs(difference));
    const rounding = (2 * EPSILON * size) / step;
    const isPrecise = rounding <= 0.02 * scale || (far === 0 && near === 0);
    const isSmooth = Math.abs(far - near) <= 2e-3 * scale + rounding;
    if (!isSmooth || !isPrecise) continue;
    if (Math.abs(difference - predicted) <= 1e-3 * scale + rounding) return null;
    reason = `the gradient by ${moving.join(', ')} along a direction is ${predicted}, differences say ${difference}`;
    // The case itself may lie exactly on a kink.
    if (attempt > 0) return reason;
  }
  return reason;
}

/** What is wrong with a case; `null` where all is right: shapes and values of the outputs, and the gradient by every input of floats. */
export async function check(test: NodeTest): Promise<string | null> {
  const { session, variables, dys, shapes } = await build(test);
  try {
    const results = await session.run(Object.fromEntries(variables));
    for (const [i, want] of test.expected.entries()) {
      const wrong = compare(results[`y${i}`]!, shapes[i]!, want, test.isHalf);
      if (wrong) return `output ${i}: ${wrong}`;
    }
    const names = [...variables.keys()].filter((name) => variables.get(name)!.data.length > 0);
    if (names.length === 0 || !dys.some((dy) => dy?.some((d) => d !== 0))) return 'nothing to differentiate';
    // A direction for each input, and two where there is one only.
    const directions = names.length === 1 ? [names, names] : names.map((name) => [name]);
    for (const [i, moving] of directions.entries()) {
      const wrong = await checkDirection({ session, variables, dys, shapes }, moving, 100 * i + 1);
      if (wrong) return wrong;
    }
    return null;
  } finally {
    await session.release();
  }
}
