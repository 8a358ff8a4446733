import { normalAxis } from '../onnx/operator.js';
import { type Attribute, GraphError, type Node, type Tensor } from '../onnx/types.js';
import { numbersOf } from './numbers.js';

/** A node whose inputs are known. */
export class KnownNode {
  constructor(
    readonly node: Node,
    /** `null` for one that is left out. */
    readonly inputs: readonly (Tensor | null)[],
  ) {}

  input(i: number): Tensor {
    const tensor = this.inputs[i];
    if (tensor) return tensor;
    throw new GraphError(`input ${i} is missing`);
  }

  get<K extends Attribute['kind']>(name: string, kind: K) {
    const attribute = this.node.attributes[name];
    if (!attribute) return undefined;
    if (attribute.kind !== kind)
      throw new GraphError(`attribute "${name}" is of kind ${attribute.kind}, not ${kind}`);
    return attribute.value as Extract<Attribute, { kind: K }>['value'];
  }

  int(name: string, fallback: number): number {
    return this.get(name, 'int') ?? fallback;
  }

  /** What is an attribute in older versions, and an input in newer ones. */
  list(name: string, i: number): readonly number[] | undefined {
    const input = this.inputs[i];
    return this.get(name, 'ints') ?? (input ? [...numbersOf(input)] : undefined);
  }

  axis(fallback: number): number {
    return normalAxis(this.int('axis', fallback), this.input(0).shape.length);
  }
}

/** What a node gives. @throws GraphError for a use that is not evaluated */
export type Evaluation = (n: KnownNode) => Tensor | readonly Tensor[];
export type Evaluations = Readonly<Record<string, Evaluation>>;
