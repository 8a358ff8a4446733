import { attributesOf, resolveAttributes, tagAttributes } from './attributes.js';
import { toFloat16 } from './float16.js';
import { NO_OPERAND, Operand } from './operand.js';
import type { GivenAttributes, InferInput, Operator } from './operator.js';
import { type AttributesOf, type OperatorName, operators } from './ops/index.js';
import { bodiesOf, checkOperators, operatorOf } from './registry.js';
import {
  arrayOf,
  type ElementType,
  type FloatType,
  formatShape,
  type Graph,
  GraphError,
  type Node,
  type Opsets,
  type Shape,
  sizeOf,
  type Tensor,
  type Value,
} from './types.js';

/** Constants of up to this many values are found again by their content. */
const SMALL = 64;

/** As many numbers are summed up one after the other without harm. */
const ONE_PASS = 1024;

/** Builds one graph node by node; shapes are inferred, and errors raised, at the line that adds the node. */
export class GraphBuilder {
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #values = new Map<string, Value>();
  readonly #constants = new Map<string, Value>();
  /** Those of {@link integers}, by their values. */
  readonly #integers = new Map<string, Value>();
  readonly #counts = new Map<string, number>();
  readonly #reserved = new Set<string>();
  #scope = '';

  /** What the graph computes in, where its inputs leave it open: the type of scalars, parameters and losses. */
  readonly float: FloatType;
  /** For the body of an `If` or a `Loop`: the graph whose values it may read. */
  readonly outer: GraphBuilder | undefined;

  /** @param options.float float32 by default; in a body what the outer graph has */
  constructor(
    readonly name: string,
    options: { readonly outer?: GraphBuilder; readonly float?: FloatType | undefined } = {},
  ) {
    this.outer = options.outer;
    this.float = options.float ?? options.outer?.float ?? 'float32';
  }

  /** Declares an input of the graph. */
  input(name: string, type: ElementType, shape: Shape): Value {
    const value = this.#declare({ name, type, shape });
    this.#inputs.push(value);
    return value;
  }

  /** Declares an input of the graph that is a sequence of tensors. */
  sequenceInput(name: string, type: ElementType): Value {
    const value = this.#declare({ name, type, shape: [], isSequence: true });
    this.#inputs.push(value);
    return value;
  }

  /** Declares an output of the graph, under a name of its own or, where it has that name already, as it is. */
  output(name: string, value: Value): Value {
    const output = value.name === name ? value : this.#append('Identity', [value], {}, [name])[0]!;
    this.#outputs.push(output);
    return output;
  }

  /** Keeps names for nodes that are still to be copied: no other value is called so. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.#reserved.add(name);
  }

  /** A tensor that is part of the graph; equal ones are stored once. */
  constant(tensor: Tensor): Value {
    if (tensor.data.length !== sizeOf(tensor.shape))
      throw new GraphError(
        `a constant of shape ${formatShape(tensor.shape)} needs other than ${tensor.data.length} values`,
      );
    const key = constantKey(tensor);
    const known = key === undefined ? undefined : this.#constants.get(key);
    return known ?? this.initializer(this.#freeName('constant', ''), tensor);
  }

  /** A stored tensor with a name of its own, such as a weight of an exported model. */
  initializer(name: string, tensor: Tensor): Value {
    const value = this.#declare({ name, type: tensor.type, shape: tensor.shape });
    this.#initializers.set(name, tensor);
    const key = constantKey(tensor);
    if (key !== undefined && !this.#constants.has(key)) this.#constants.set(key, value);
    return value;
  }

  /** A scalar of the graph's float type; or another type's. */
  scalar(value: number, type: ElementType = this.float): Value {
    return this.#vector([value], [], type);
  }

  /** A constant of floats. */
  floats(values: Iterable<number>, shape: readonly number[], type: ElementType = this.float): Value {
    return this.#vector([...values], shape, type);
  }

  /** A tensor of one value everywhere. */
  full(value: number, shape: readonly number[], type: ElementType = this.float): Value {
    return this.add('Expand', [this.scalar(value, type), this.integers(shape)]);
  }

  /** A constant of booleans, from what `test` says of each flat index. */
  mask(shape: readonly number[], test: (index: number) => boolean): Value {
    const data = Uint8Array.from({ length: sizeOf(shape) }, (_, i) => Number(test(i)));
    return this.constant({ type: 'bool', shape, data });
  }

  /** A one-dimensional int64 constant: axes, shapes, pads. */
  integers(values: readonly number[]): Value {
    const key = values.join();
    const known = this.#integers.get(key);
    if (known) return known;
    if (!values.every(Number.isInteger))
      throw new GraphError(`sizes, axes and places are integers, got ${formatShape(values)}`);
    const value = this.#vector(values, [values.length], 'int64');
    this.#integers.set(key, value);
    return value;
  }

  #vector(values: readonly number[], shape: readonly number[], type: ElementType): Value {
    const data =
      type === 'int64'
        ? BigInt64Array.from(values, BigInt)
        : type === 'float16'
          ? toFloat16(Float32Array.from(values))
          : (arrayOf(type) as Float32ArrayConstructor).from(values);
    return this.constant({ type, shape, data });
  }

  /** Adds a node with one output. `null` leaves out an optional input. */
  add<K extends OperatorName>(
    operator: K,
    inputs: readonly (Value | null)[],
    attributes: GivenAttributes<AttributesOf<K>> = {} as GivenAttributes<AttributesOf<K>>,
  ): Value {
    return this.#append(operator, inputs, attributes, 1)[0]!;
  }

  /** Adds a node with `count` outputs. */
  addMany<K extends OperatorName>(
    operator: K,
    inputs: readonly (Value | null)[],
    attributes: GivenAttributes<AttributesOf<K>>,
    count: number,
  ): Value[] {
    return this.#append(operator, inputs, attributes, count);
  }

  /**
   * Adds a node of another graph again, on other inputs, under its old names.
   * @param opsets of that graph, where it was read from a file
   * @throws GraphError for an operator, or an attribute, that is unknown
   */
  copy(node: Node, inputs: readonly (Value | null)[], opsets?: Opsets): Value[] {
    const operator = operatorOf(node, opsets);
    for (const body of bodiesOf(node)) checkOperators(body, opsets);
    return this.#append(operator, inputs, attributesOf(node, operator), node.outputs);
  }

  /** Runs `build` with `name/` before the names of all that it adds. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = outer ? `${outer}/${name}` : name;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  reshape(x: Value, shape: readonly number[]): Value {
    return this.add('Reshape', [x, this.integers(shape)]);
  }

  transpose(x: Value, perm: readonly number[]): Value {
    return this.add('Transpose', [x], { perm });
  }

  sum(x: Value, axes: readonly number[], keepdims = 1): Value {
    return this.#reduce('ReduceSum', x, axes, keepdims);
  }

  mean(x: Value, axes: readonly number[], keepdims = 1): Value {
    return this.#reduce('ReduceMean', x, axes, keepdims);
  }

  /**
   * Many numbers are reduced along the last axis first: kernels that add one number after the other, as those of
   * WebAssembly do, lose two digits over half a million.
   */
  #reduce(op: 'ReduceSum' | 'ReduceMean', x: Value, axes: readonly number[], keepdims: number): Value {
    if (axes.length === 0) return x; // to ONNX, no axes are all of them
    const last = x.shape.length - 1;
    const count = axes.reduce((product, axis) => product * Number(x.shape[axis]), 1);
    const inSteps = axes.length > 1 && axes.includes(last) && count > ONE_PASS;
    const rest = axes.filter((axis) => axis !== last);
    const rows = inSteps ? this.add(op, [x, this.integers([last])], { keepdims }) : x;
    return this.add(op, [rows, this.integers(inSteps ? rest : axes)], { keepdims });
  }

  /** As NumPy's x[starts:ends:steps] along `axes`. */
  slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps: readonly number[] = axes.map(() => 1),
  ): Value {
    const operands = [starts, ends, axes, steps].map((v) => this.integers(v));
    return this.add('Slice', [x, ...operands]);
  }

  isConstant(value: Value): boolean {
    return this.#initializer(value.name) !== undefined;
  }

  /** The values of a constant. @throws GraphError when it is computed. */
  tensorOf(value: Value): Tensor {
    const tensor = this.#initializer(value.name);
    if (!tensor) throw new GraphError(`"${value.name}" must be a constant here, it is computed`);
    return tensor;
  }

  /** What is being built, as it stands. Later additions do not show in it. */
  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      initializers: new Map(this.#initializers),
      values: new Map(this.#values),
    };
  }

  #declare(value: Value): Value {
    if (this.#find(value.name)) throw new GraphError(`the name "${value.name}" is taken in "${this.name}"`);
    this.#values.set(value.name, value);
    return value;
  }

  #freeName(word: string, scope = this.#scope): string {
    const base = scope ? `${scope}/${word}` : word;
    let count = this.#counts.get(base) ?? 0;
    let name: string;
    do {
      name = count === 0 ? base : `${base}_${count}`;
      count++;
    } while (this.#find(name) || this.#isReserved(name));
    this.#counts.set(base, count);
    return name;
  }

  #isReserved(name: string): boolean {
    return this.#reserved.has(name) || (this.outer ? this.outer.#isReserved(name) : false);
  }

  #initializer(name: string): Tensor | undefined {
    return this.#initializers.get(name) ?? (this.outer ? this.outer.#initializer(name) : undefined);
  }

  #find(name: string): Value | undefined {
    return this.#values.get(name) ?? (this.outer ? this.outer.#find(name) : undefined);
  }

  #append(
    operatorName: OperatorName,
    inputs: readonly (Value | null)[],
    given: Readonly<Record<string, unknown>>,
    outputs: number | readonly string[],
  ): Value[] {
    const definition = operators[operatorName] as Operator;
    const name = this.#freeName(operatorName);
    const count = typeof outputs === 'number' ? outputs : outputs.length;
    try {
      const [least, most] = definition.inputs;
      if (inputs.length < least || inputs.length > most)
        throw new GraphError(
          `takes ${least === most ? least : `${least} to ${most}`} inputs, got ${inputs.length}`,
        );
      const attributes = resolveAttributes(operatorName, given);
      const inferred = definition.infer(
        inputs.map((v) => this.#operand(v)),
        attributes,
        count,
      );
      if (inferred.length < count)
        throw new GraphError(`gives ${inferred.length} outputs, ${count} are requested`);
      const values = Array.from({ length: count }, (_, i) => {
        // An optional output that is left out has no name.
        if (typeof outputs !== 'number' && outputs[i] === '') return { ...inferred[i]!, name: '' };
        return this.#declare({
          name: typeof outputs === 'number' ? (i === 0 ? name : `${name}.${i}`) : outputs[i]!,
          type: inferred[i]!.type,
          shape: inferred[i]!.shape,
        });
      });
      this.#nodes.push({
        name: typeof outputs === 'number' ? name : outputs[0]!,
        operator: definition.opType ?? operatorName,
        domain: definition.domain,
        // What is left out at the end is not named at all: ONNX Runtime's WebGPU kernels ask no further.
        inputs: inputs.slice(0, inputs.findLastIndex((v) => v !== null) + 1).map((v) => v?.name ?? ''),
        outputs: values.map((v) => v.name),
        attributes: tagAttributes(definition, attributes),
      });
      return values;
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      const shapes = inputs.map((v) => (v ? formatShape(v.shape) : 'none')).join(', ');
      throw new GraphError(`${operatorName} at "${name}" (inputs ${shapes}): ${error.message}`);
    }
  }

  #operand(value: Value | null): InferInput {
    if (!value) return NO_OPERAND;
    if (this.#find(value.name) !== value)
      throw new GraphError(`the value "${value.name}" does not belong to graph "${this.name}"`);
    return new Operand(value, this.#initializer(value.name));
  }
}

const constantKey = ({ type, shape, data }: Tensor): string | undefined =>
  data.length <= SMALL ? `${type}${formatShape(shape)}${data.join()}` : undefined;
