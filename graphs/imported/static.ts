/**
 * A model for inputs of fixed sizes: every shape is known, and what depends on nothing but shapes and stored tensors is
 * computed here, so that what remains is the network itself.
 */
import { GraphBuilder } from '../onnx/builder.js';
import {
  type Graph,
  GraphError,
  type LocalFunction,
  type Node,
  type Tensor,
  TYPE_CODES,
  type Value,
} from '../onnx/types.js';
import { readsOf } from '../passes/needed.js';
import { isKnownOperator, translate } from '../standard/index.js';
import { evaluate } from './evaluate.js';
import { DRAWING, type Gap, LOOPS, refusalOf, withoutPlace } from './gaps.js';
import { identity, identityOf, innerName, renamedNode } from './inlined.js';
import { unrolled } from './loops.js';
import { freeNames } from './names.js';
import { isKnown, ofShape, withCastTo, withoutDropout, withoutZeroBias } from './simplified.js';
import { singleNode } from './single.js';
import { sorted } from './sorted.js';

export interface StaticGraph {
  readonly opset: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly string[];
  /** All nodes, each behind those it reads from; in place of an `If` those of the branch that is taken. */
  readonly nodes: readonly Node[];
  /** Stored tensors, and values that were computed at import. */
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Types and shapes of all other values that are known. */
  readonly values: ReadonlyMap<string, Value>;
  readonly gaps: readonly Gap[];
  /** Nodes behind a gap, of inputs whose sizes are not known. */
  readonly unexamined: number;
}

class Importer {
  readonly #g = new GraphBuilder('shapes');
  readonly #values = new Map<string, Value>();
  readonly #constants: Map<string, Tensor>;
  readonly #stored = new Map<string, Value>();
  readonly nodes: Node[] = [];
  readonly gaps: Gap[] = [];
  #unexamined = 0;

  readonly #functions: ReadonlyMap<string, LocalFunction>;
  /** Names of values, those of the file and those that were made. */
  readonly #taken: Set<string>;
  /** Functions that are being put in, the outermost first. */
  readonly #calls: LocalFunction[] = [];

  constructor(
    readonly graph: Graph,
    readonly opset: number,
    inputs: readonly Value[],
    functions: readonly LocalFunction[],
  ) {
    for (const { domain, name, overload } of functions)
      if (overload !== '')
        throw new GraphError(
          `the function ${domain}:${name} has an overload, "${overload}", which is unsupported`,
        );
    this.#functions = new Map(functions.map((f) => [identityOf(f.domain, f.name), f]));
    this.#constants = new Map(graph.initializers);
    this.#taken = new Set([
      ...[...inputs, ...graph.inputs].map(({ name }) => name),
      ...graph.initializers.keys(),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ]);
    for (const { name, type, shape } of inputs) this.#values.set(name, this.#g.input(name, type, shape));
  }

  result(inputs: readonly Value[]): StaticGraph {
    return {
      opset: this.opset,
      inputs,
      outputs: this.graph.outputs.map(({ name }) => name),
      nodes: this.nodes,
      constants: this.#constants,
      values: new Map([...this.#values].map(([name, { type, shape }]) => [name, { name, type, shape }])),
      gaps: this.gaps,
      unexamined: this.#unexamined,
    };
  }

  #gap({ operator, name, outputs }: Node, reason: string): void {
    this.gaps.push({ operator, reason, node: name || outputs[0] || operator });
  }

  /** A known value in the graph by which shapes are found. */
  #stand(name: string): Value {
    const known = this.#values.get(name) ?? this.#stored.get(name);
    if (known) return known;
    const value = this.#g.constant(this.#constants.get(name)!);
    this.#stored.set(name, value);
    return value;
  }

  /** What the file says of the outputs of a node that cannot be imported, so that what follows can be examined too. */
  #assume({ outputs }: Node): void {
    for (const name of outputs) {
      const said = this.graph.values.get(name);
      if (said && isKnown(said.shape) && !said.isSequence && !said.isUnranked)
        this.#values.set(name, this.#g.input(`assumed/${name}`, said.type, said.shape));
    }
  }

  add(node: Node): void {
    const called = this.#functions.get(identityOf(node.domain, node.operator));
    if (called) {
      this.#call(node, called);
      return;
    }
    const refusal = refusalOf(node);
    if (refusal) {
      this.#gap(node, refusal);
      this.#assume(node);
    } else if (node.operator === 'If') this.#branch(node);
    else if (LOOPS.has(node.operator)) this.#unroll(node);
    else if (DRAWING.has(node.operator)) this.#draw(node);
    else this.#plain(node);
  }

  #typed(name: string): Pick<Value, 'type' | 'shape'> | undefined {
    return this.#constants.get(name) ?? this.#values.get(name);
  }

  /** What the import computed, but for what the file stores. */
  #computed(name: string): Tensor | undefined {
    const isStored =
      this.graph.initializers.has(name) ||
      this.nodes.some((n) => n.operator === 'Constant' && n.outputs[0] === name);
    return isStored ? undefined : this.#constants.get(name);
  }

  #plain(given: Node): void {
    const cast = withCastTo(given, (name) => this.#typed(name));
    const node = withoutZeroBias(cast, (name) => this.#computed(name));
    this.nodes.push(node);
    const read = node.inputs.filter((name) => name !== '');
    const shape = this.#knownShape(read[0] ?? '');
    const sizes = shape ? ofShape(node, shape) : null;
    if (sizes) {
      this.#know(node, [sizes]);
      return;
    }
    if (read.every((name) => this.#constants.has(name))) {
      const known = evaluate(
        node,
        node.inputs.map((name) => this.#constants.get(name) ?? null),
      );
      if (known) {
        this.#know(node, known);
        return;
      }
    }
    if (!read.every((name) => this.#constants.has(name) || this.#values.has(name))) {
      this.#unexamined++;
      this.#assume(node);
      return;
    }
    try {
      if (!isKnownOperator(node))
        throw new GraphError('it depends on the data: it is supported only where its inputs are fixed');
      const plain = withoutDropout(node);
      const inputs = plain.inputs.map((name) => (name === '' ? null : this.#stand(name)));
      const results = translate(this.#g, plain, inputs, this.opset);
      for (const [i, name] of node.outputs.entries())
        if (name !== '' && results[i]) this.#values.set(name, results[i]);
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      this.#gap(node, withoutPlace(error.message, node));
      this.#assume(node);
    }
  }

  #know(node: Node, results: readonly Tensor[]): void {
    for (const [i, name] of node.outputs.entries())
      if (name !== '' && results[i]) this.#constants.set(name, results[i]);
  }

  /** Random numbers of the shape that a node names, or of that of its input. */
  #draw(node: Node): void {
    this.nodes.push(node);
    const { shape: given, dtype } = node.attributes;
    const like = this.#typed(node.inputs[0] ?? '');
    const shape = given?.kind === 'ints' ? given.value : like?.shape;
    const isDouble = dtype?.kind === 'int' ? dtype.value === TYPE_CODES.float64 : like?.type === 'float64';
    const [name] = node.outputs;
    if (shape && isKnown(shape) && name)
      this.#values.set(name, this.#g.input(`drawn/${name}`, isDouble ? 'float64' : 'float32', shape));
  }

  /** Names of their own for values inside what a node stands for. */
  #innerNames(node: Node): (inner: string) => string {
    return freeNames(this.#taken, (inner) => innerName(node, inner));
  }

  /** The branch that is always taken, under names of its own. */
  #branch(node: Node): void {
    const condition = this.#constants.get(node.inputs[0] ?? '');
    const body = condition && node.attributes[Number(condition.data[0]) ? 'then_branch' : 'else_branch'];
    if (body?.kind !== 'graph') {
      this.#gap(
        node,
        'which branch is taken depends on the data: only a branch that is always taken is supported',
      );
      this.#assume(node);
      return;
    }
    this.#return(node, this.#body(body.value, this.#innerNames(node)));
  }

  /**
   * The nodes of a body in the place of the node that has it. @param given names that its inputs stand for
   * @returns the names of its outputs
   */
  #body(
    body: Graph,
    innerNameOf: (inner: string) => string,
    given: ReadonlyMap<string, string> = new Map(),
  ): string[] {
    const { nodes, initializers, outputs } = body;
    const inside = new Set([...initializers.keys(), ...nodes.flatMap((inner) => inner.outputs)]);
    const rename = (name: string) => given.get(name) ?? (inside.has(name) ? innerNameOf(name) : name);
    for (const [name, tensor] of initializers) this.#constants.set(rename(name), tensor);
    const outer = nodes.flatMap(readsOf).filter((name) => !inside.has(name));
    for (const inner of sorted({ ...body, inputs: [] }, outer)) this.add(renamedNode(inner, rename));
    return outputs.map(({ name }) => rename(name));
  }

  #knownShape(name: string): readonly number[] | undefined {
    const shape = this.#typed(name)?.shape;
    return shape && isKnown(shape) ? shape : undefined;
  }

  /** The turns of a loop, one behind the other. */
  #unroll(node: Node): void {
    const made = unrolled(node, {
      ...{ constants: this.#constants, opset: this.opset },
      shapeOf: (name) => this.#knownShape(name),
      innerNames: (named) => this.#innerNames(named),
      addBody: (...of) => this.#body(...of),
      addNode: (plain) => this.#plain(plain),
    });
    if (made) {
      this.#return(node, made);
      return;
    }
    this.#gap(
      node,
      'how often the loop runs depends on the data, or is too often: export the model with the loop unrolled',
    );
    this.#assume(node);
  }

  /** The nodes of a function of the model in place of a node that calls it. */
  #call(node: Node, called: LocalFunction): void {
    const version = called.opsets[''] ?? this.opset;
    if (version !== this.opset || this.#calls.includes(called)) {
      const other = `the function is written in version ${version} of the standard, the model in ${this.opset}`;
      this.#gap(node, version === this.opset ? 'the function calls itself' : other);
      this.#assume(node);
      return;
    }
    const given = new Map(called.inputs.map((name, i) => [name, node.inputs[i] ?? '']));
    const innerNameOf = this.#innerNames(node);
    const rename = (name: string) => given.get(name) ?? innerNameOf(name);
    const of = { ...called.defaults, ...node.attributes };
    this.#calls.push(called);
    for (const { references, ...inner } of called.nodes) {
      const referred = Object.entries(references).flatMap(([name, from]) => {
        const attribute = of[from];
        return attribute ? [[name, attribute] as const] : [];
      });
      const attributes = { ...inner.attributes, ...Object.fromEntries(referred) };
      this.add(singleNode(renamedNode({ ...inner, attributes }, rename)));
    }
    this.#calls.pop();
    this.#return(node, called.outputs.map(rename));
  }

  /** Gives the outputs of a node the values that were made in its place. */
  #return({ outputs }: Node, made: readonly string[]): void {
    for (const [i, name] of outputs.entries())
      if (name !== '' && made[i]) this.#plain(identity(made[i], name));
  }
}

/**
 * @param inputs of known sizes
 * @param functions operators that the model brings itself
 */
export function staticGraph(
  graph: Graph,
  opset: number,
  inputs: readonly Value[],
  functions: readonly LocalFunction[] = [],
): StaticGraph {
  const importer = new Importer(graph, opset, inputs, functions);
  for (const node of sorted(graph)) importer.add(node);
  return importer.result(inputs);
}
