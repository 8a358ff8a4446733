import type { InferInput } from './operator.js';
import type { ElementType, Shape, Tensor, Value } from './types.js';

/** An optional input that is left out. */
export const NO_OPERAND: InferInput = { name: '', type: 'float32', shape: [], constant: undefined };

/** An input of a node that is added. The values of a constant become numbers when a rule asks for them, which few do. */
export class Operand implements InferInput {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  readonly #tensor: Tensor | undefined;

  /** @param tensor the values of a constant */
  constructor({ name, type, shape }: Value, tensor: Tensor | undefined) {
    this.name = name;
    this.type = type;
    this.shape = shape;
    this.#tensor = tensor;
  }

  get constant(): readonly number[] | undefined {
    return this.#tensor && Array.from(this.#tensor.data as ArrayLike<number | bigint>, Number);
  }
}
