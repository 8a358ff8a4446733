import { type Arithmetic, arithmetic } from '../onnx/arithmetic.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { normalAxis } from '../onnx/operator.js';
import { type Attribute, GraphError, knownShape, type Node, type Value } from '../onnx/types.js';

type ValueOf<K extends Attribute['kind']> = Extract<Attribute, { kind: K }>['value'];

/** One node of a model written in any version of the standard, as the function that translates its operator sees it. */
export class StandardNode {
  /** Formulas on the graph that is built. */
  readonly f: Arithmetic;
  readonly #asked = new Set<string>();

  constructor(
    readonly g: GraphBuilder,
    readonly node: Node,
    /** `null` for an optional one that is left out. */
    readonly inputs: readonly (Value | null)[],
    /** The version of the standard that the node is written in. */
    readonly opset: number,
  ) {
    this.f = arithmetic(g);
  }

  /** How many outputs are wanted. */
  get outputs(): number {
    return this.node.outputs.findLastIndex((name) => name !== '') + 1;
  }

  /** @throws GraphError when it is left out */
  input(i: number): Value {
    const value = this.inputs[i];
    if (value) return value;
    throw new GraphError(`input ${i} is missing`);
  }

  optional(i: number): Value | null {
    return this.inputs[i] ?? null;
  }

  /** The sizes of an input. @throws GraphError when they are not known */
  shape(i: number): number[] {
    return knownShape(this.input(i).shape, this.node.operator);
  }

  #attribute<K extends Attribute['kind']>(name: string, kind: K): ValueOf<K> | undefined {
    if (!this.has(name)) return undefined;
    const attribute = this.node.attributes[name]!;
    if (attribute.kind !== kind)
      throw new GraphError(`attribute "${name}" is of kind ${attribute.kind}, not ${kind}`);
    return attribute.value as never;
  }

  has(name: string): boolean {
    this.#asked.add(name);
    return name in this.node.attributes;
  }

  /** Attributes that the translation has not asked for, and so knows nothing of. */
  get ignored(): readonly string[] {
    return Object.keys(this.node.attributes).filter((name) => !this.#asked.has(name));
  }

  int(name: string, fallback: number): number {
    return this.#attribute(name, 'int') ?? fallback;
  }

  float(name: string, fallback: number): number {
    return this.#attribute(name, 'float') ?? fallback;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'ints');
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'floats');
  }

  string(name: string, fallback: string): string {
    return this.#attribute(name, 'string') ?? fallback;
  }

  strings(name: string): readonly string[] | undefined {
    return this.#attribute(name, 'strings');
  }

  /** @param name of an attribute that counts one axis of an input */
  axis(name: string, fallback: number, input = 0): number {
    return normalAxis(this.int(name, fallback), this.shape(input).length);
  }

  /** The numbers of a constant input; `undefined` when it is left out. @throws GraphError when it is computed */
  constants(i: number): number[] | undefined {
    const value = this.optional(i);
    if (!value) return undefined;
    // The largest int64 stands for "to the end".
    const limit = Number.MAX_SAFE_INTEGER;
    return Array.from(this.g.tensorOf(value).data as ArrayLike<number | bigint>, (v) =>
      Math.max(-limit, Math.min(limit, Number(v))),
    );
  }

  /** The numbers of a constant input that must be there. @throws GraphError when it is left out or computed */
  numbers(i: number): number[] {
    this.input(i);
    return this.constants(i)!;
  }

  /** What is an attribute in older versions, and a constant input in newer ones. */
  list(name: string, input: number): readonly number[] | undefined {
    return this.ints(name) ?? this.constants(input);
  }
}

/** Builds what a node computes from the operators of `graphs/onnx/ops`, each of which has its gradient. */
export type Translation = (node: StandardNode) => Value | readonly Value[];
export type Translations = Readonly<Record<string, Translation>>;
