/**
 * A second backward pass, made of the gradient kernels of ONNX Runtime's training build (ConvGrad, MaxPoolGrad, …)
 * instead of our rules: an independent check of them. What is written out here is only what ONNX Runtime's own
 * gradient builder writes out too: sums, products, and how broadcasting is undone.
 */
import { attributesOf } from '../../../graphs/onnx/attributes.js';
import type { OperatorName } from '../../../graphs/onnx/ops/index.js';
import type { Attribute, Graph, Node, Tensor, Value } from '../../../graphs/onnx/types.js';

const MICROSOFT = 'com.microsoft';

/** Appends nodes of any name, which our graph builder would refuse. */
class Kernels {
  readonly nodes: Node[] = [];
  readonly values: Map<string, Value>;
  readonly initializers: Map<string, Tensor>;

  constructor(graph: Graph) {
    this.values = new Map(graph.values);
    this.initializers = new Map(graph.initializers);
  }

  add(
    operator: string,
    inputs: readonly Value[],
    shapes: readonly (readonly number[])[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Value[] {
    const name = `oracle.${this.nodes.length}.${operator}`;
    const outputs = shapes.map((shape, i) => ({ name: `${name}.${i}`, type: 'float32' as const, shape }));
    for (const value of outputs) this.values.set(value.name, value);
    this.nodes.push({
      name,
      operator,
      domain,
      inputs: inputs.map((v) => v.name),
      outputs: outputs.map((v) => v.name),
      attributes,
    });
    return outputs;
  }

  one(
    operator: string,
    inputs: readonly Value[],
    shape: readonly number[],
    attributes = {},
    domain = '',
  ): Value {
    return this.add(operator, inputs, [shape], attributes, domain)[0]!;
  }

  constant(
    type: 'int64' | 'float32',
    data: readonly number[],
    shape: readonly number[] = [data.length],
  ): Value {
    const name = `oracle.constant.${this.initializers.size}`;
    const array = type === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
    this.initializers.set(name, { type, shape, data: array });
    return { name, type, shape };
  }

  number = (value: number): Value => this.constant('float32', [value], []);
}

const shapeOf = ({ shape }: Value) => shape as readonly number[];
const int = (value: number): Attribute => ({ kind: 'int', value });
const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });
const float = (value: number): Attribute => ({ kind: 'float', value });
const text = (value: string): Attribute => ({ kind: 'string', value });

/** Those of the operators below, each of which has some of them, with the standard's defaults filled in. */
interface Attributes {
  readonly kernel_shape: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly axis: number;
  readonly epsilon: number;
  readonly relu: number;
  readonly alpha: number;
  readonly beta: number;
  readonly transA: number;
  readonly transB: number;
}

/** One operation of the forward pass, with the gradient of its first output. */
interface Step {
  readonly k: Kernels;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly a: Attributes;
  readonly dy: Value;
}
type OracleRule = (step: Step) => readonly (Value | null)[];

type Window = Partial<Pick<Attributes, 'strides' | 'pads'>>;
function window({ strides, pads }: Window, w: Value): Record<string, Attribute> {
  const kernel = shapeOf(w).slice(2);
  const ones = kernel.map(() => 1);
  return {
    kernel_shape: ints(kernel),
    strides: ints(strides ?? ones),
    pads: ints(pads ?? kernel.flatMap(() => [0, 0])),
    dilations: ints(ones),
    group: int(1),
  };
}
const SAME = { pads: [1, 1, 1, 1, 1, 1] };
const channels = (w: Value) => [shapeOf(w)[0]!];
const convGrad = (k: Kernels, dy: Value, x: Value, w: Value, a: Window) =>
  k.add('ConvGrad', [dy, x, w], [shapeOf(x), shapeOf(w), channels(w)], window(a, w), MICROSOFT);
const kernel =
  (
    operator: string,
    from: (step: Step) => Value,
    attributes: (step: Step) => Record<string, Attribute> = () => ({}),
  ): OracleRule =>
  (step) => [
    step.k.one(operator, [step.dy, from(step)], shapeOf(step.inputs[0]!), attributes(step), MICROSOFT),
  ];
const output = ({ outputs }: Step) => outputs[0]!;
const DOUBLE = [1, 1, 2, 2, 2];
const resize = {
  mode: text('nearest'),
  coordinate_transformation_mode: text('asymmetric'),
  nearest_mode: text('floor'),
};

/** Sums over what broadcasting repeated. */
function unbroadcast(k: Kernels, gradient: Value, like: Value): Value {
  const [from, to] = [shapeOf(gradient), shapeOf(like)];
  if (from.join() === to.join()) return gradient;
  const missing = from.length - to.length;
  const axes = from.map((_, i) => i).filter((i) => i < missing || to[i - missing] !== from[i]);
  const kept = from.map((size, i) => (axes.includes(i) ? 1 : size));
  const summed = k.one('ReduceSum', [gradient, k.constant('int64', axes)], kept, { keepdims: int(1) });
  return k.one('Reshape', [summed, k.constant('int64', to)], to);
}
const product = (k: Kernels, a: Value, b: Value) =>
  k.one('Mul', [a, b], shapeOf(a).length >= shapeOf(b).length ? shapeOf(a) : shapeOf(b));
const negative = (k: Kernels, a: Value) => k.one('Neg', [a], shapeOf(a));
/** The gradient of a sum: repeated over the axes that were summed. */
function spread({ k, inputs: [x, axes], dy }: Step, scale: number): readonly (Value | null)[] {
  const shape = shapeOf(x!);
  const summed = axes
    ? [...(k.initializers.get(axes.name)!.data as BigInt64Array)].map(
        (axis) => (Number(axis) + shape.length) % shape.length,
      )
    : shape.map((_, i) => i);
  const kept = shape.map((size, i) => (summed.includes(i) ? 1 : size));
  const share = k.one('Mul', [dy, k.number(scale)], shapeOf(dy));
  const column = k.one('Reshape', [share, k.constant('int64', kept)], kept);
  return [k.one('Expand', [column, k.constant('int64', shape)], shape), null];
}
const countOf = ({ inputs: [x], outputs: [y] }: Step) =>
  shapeOf(x!).reduce((a, b) => a * b, 1) / shapeOf(y!).reduce((a, b) => a * b, 1);
const reshaped: OracleRule = ({ k, inputs: [x], dy }) => [
  k.one('Reshape', [dy, k.constant('int64', shapeOf(x!))], shapeOf(x!)),
  null,
];

export const ORACLE_RULES: Partial<Record<OperatorName, OracleRule>> = {
  Conv: ({ k, inputs: [x, w], a, dy }) => convGrad(k, dy, x!, w!, a),
  // A transposed convolution is the input gradient of a convolution: dy is that convolution's input, x its gradient.
  ConvTranspose: ({ k, inputs: [x, w], a, dy }) => [
    k.one('Conv', [dy, w!], shapeOf(x!), window(a, w!)),
    convGrad(k, x!, dy, w!, a)[1]!,
    unbroadcast(
      k,
      k.one(
        'Transpose',
        [dy],
        [0, 2, 3, 4, 1].map((i) => shapeOf(dy)[i]!),
        { perm: ints([0, 2, 3, 4, 1]) },
      ),
      {
        ...dy,
        shape: [shapeOf(dy)[1]!],
      },
    ),
  ],
  UpsampleConv: ({ k, inputs: [x, w], dy }) => {
    const large = shapeOf(x!).map((size, i) => size * DOUBLE[i]!);
    const scales = k.constant('float32', DOUBLE);
    const repeated = k.one('Resize', [x!, { ...scales, name: '' }, scales], large, resize);
    const [dLarge, dw, db] = convGrad(k, dy, repeated, w!, SAME);
    const pool = { kernel_shape: ints([2, 2, 2]), strides: ints([2, 2, 2]) };
    const mean = k.one('AveragePool', [dLarge!], shapeOf(x!), pool);
    return [product(k, mean, k.number(8)), dw!, db!];
  },
  BatchNorm: ({ k, inputs: [x, scale, bias], outputs: [y], a, dy }) => {
    const vector = shapeOf(scale!);
    const [zeros, ones] = [0, 1].map((v) => k.constant('float32', Array(vector[0]).fill(v)));
    const norm = { epsilon: float(a.epsilon), momentum: float(0.9), training_mode: int(1) };
    const internal = [shapeOf(x!), vector, vector, vector, vector];
    const saved = k.add('BatchNormInternal', [x!, scale!, bias!, zeros!, ones!], internal, norm, MICROSOFT);
    const cut = a.relu ? k.one('ReluGrad', [dy, y!], shapeOf(x!), {}, MICROSOFT) : dy;
    const operands = [cut, x!, scale!, saved[3]!, saved[4]!];
    return k.add(
      'BatchNormalizationGrad',
      operands,
      [shapeOf(x!), vector, vector],
      { epsilon: float(a.epsilon) },
      MICROSOFT,
    );
  },
  MaxPool: ({ k, inputs: [x], outputs: [y], a, dy }) => {
    const pool = { kernel_shape: ints(a.kernel_shape), strides: ints(a.strides) };
    const [, indices] = k.add('MaxPool', [x!], [shapeOf(y!), shapeOf(y!)], pool);
    return [k.one('MaxPoolGrad', [dy, indices!], shapeOf(x!), pool)];
  },
  // AveragePool is left to PyTorch: AveragePoolGrad writes beyond its memory where windows are no cubes.
  GlobalAveragePool: (step) => {
    const { k, inputs, dy } = step;
    const share = product(k, dy, k.number(1 / countOf(step)));
    return [k.one('Expand', [share, k.constant('int64', shapeOf(inputs[0]!))], shapeOf(inputs[0]!))];
  },
  Relu: kernel('ReluGrad', output),
  Sigmoid: kernel('SigmoidGrad', output),
  Tanh: kernel('TanhGrad', output),
  Softmax: kernel('SoftmaxGrad_13', output, ({ a }) => ({ axis: int(a.axis) })),
  LogSoftmax: kernel('LogSoftmaxGrad_13', output, ({ a }) => ({ axis: int(a.axis) })),
  Split: () => {
    throw new Error('handled where all gradients of its outputs are known');
  },
  Concat: ({ k, inputs, a, dy }) => {
    const sizes = k.constant(
      'int64',
      inputs.map((x) => shapeOf(x)[a.axis]!),
    );
    return k.add('Split', [dy, sizes], inputs.map(shapeOf), { axis: int(a.axis) });
  },
  Reshape: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Add: ({ k, inputs: [a, b], dy }) => [unbroadcast(k, dy, a!), unbroadcast(k, dy, b!)],
  Sub: ({ k, inputs: [a, b], dy }) => [unbroadcast(k, dy, a!), unbroadcast(k, negative(k, dy), b!)],
  Mul: ({ k, inputs: [a, b], dy }) => [
    unbroadcast(k, product(k, dy, b!), a!),
    unbroadcast(k, product(k, dy, a!), b!),
  ],
  Neg: ({ k, dy }) => [negative(k, dy)],
  Where: ({ k, inputs: [condition, a, b], dy }) => {
    const chosen = (yes: Value, no: Value) => k.one('Where', [condition!, yes, no], shapeOf(dy));
    return [null, unbroadcast(k, chosen(dy, k.number(0)), a!), unbroadcast(k, chosen(k.number(0), dy), b!)];
  },
  // y = alpha · A·B + beta · C, A and B transposed or not.
  Gemm: ({ k, inputs: [x, w, b], a, dy }) => {
    const gemm = (left: Value, right: Value, transA: unknown, transB: unknown, like: Value) => {
      const attributes = { alpha: float(a.alpha), transA: int(transA ? 1 : 0), transB: int(transB ? 1 : 0) };
      return k.one('Gemm', [left, right], shapeOf(like), attributes);
    };
    return [
      a.transA ? gemm(w!, dy, a.transB, true, x!) : gemm(dy, w!, false, !a.transB, x!),
      a.transB ? gemm(dy, x!, true, a.transA, w!) : gemm(x!, dy, !a.transA, false, w!),
      b ? unbroadcast(k, product(k, dy, k.number(a.beta)), b) : null,
    ];
  },
  ReduceSum: (step) => spread(step, 1),
  ReduceMean: (step) => spread(step, 1 / countOf(step)),
};

export interface Oracle {
  /** The graph with nodes behind it that compute the gradients; it may read every value of the graph. */
  readonly nodes: readonly Node[];
  readonly values: ReadonlyMap<string, Value>;
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Of each source, in their order; null where the loss does not depend on it. */
  readonly gradients: readonly (Value | null)[];
}

/** Differentiates `loss` by ONNX Runtime's kernels; of the outputs of a node only the first may be on the way, a Split's aside. */
export function oracleGradients(graph: Graph, loss: Value, sources: readonly Value[]): Oracle {
  const k = new Kernels(graph);
  const relevant = new Set(sources.map((v) => v.name));
  for (const { inputs, outputs } of graph.nodes)
    if (inputs.some((name) => relevant.has(name))) for (const name of outputs) relevant.add(name);
  const found = new Map<string, Value>([[loss.name, k.number(1)]]);
  const values = (names: readonly string[]) => names.map((name) => k.values.get(name)!);
  for (const node of graph.nodes.toReversed()) {
    const dys = node.outputs.map((name) => found.get(name));
    if (!dys.some(Boolean) || !node.inputs.some((name) => relevant.has(name))) continue;
    const operator = node.operator as OperatorName;
    const a = attributesOf(node, operator) as unknown as Attributes;
    const [inputs, outputs] = [values(node.inputs), values(node.outputs)];
    const rule = ORACLE_RULES[operator];
    if (!rule) throw new Error(`the oracle has no rule for ${operator}`);
    const contributions =
      operator === 'Split'
        ? [k.one('Concat', dys as Value[], shapeOf(inputs[0]!), { axis: int(a.axis) }), null]
        : rule({ k, inputs, outputs, a, dy: dys[0]! });
    node.inputs.forEach((name, i) => {
      const gradient = contributions[i];
      if (!gradient || !relevant.has(name)) return;
      const sum = found.get(name);
      found.set(name, sum ? k.one('Add', [sum, gradient], shapeOf(gradient)) : gradient);
    });
  }
  // One may be the gradient of several: each gets a name of its own.
  const gradients = sources.map(({ name }) => {
    const gradient = found.get(name);
    return gradient ? k.one('Identity', [gradient], shapeOf(gradient)) : null;
  });
  return { nodes: k.nodes, values: k.values, initializers: k.initializers, gradients };
}
