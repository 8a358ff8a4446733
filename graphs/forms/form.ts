import type { GraphBuilder } from '../onnx/builder.js';
import type { ResolvedAttributes } from '../onnx/operator.js';
import type { AttributesOf, OperatorName } from '../onnx/ops/index.js';
import type { Value } from '../onnx/types.js';

/** One node to be lowered. */
export interface Call<K extends OperatorName> {
  readonly inputs: readonly (Value | null)[];
  /** The operator that made each input; `undefined` for an input of the graph or a constant. */
  readonly madeBy?: readonly (string | undefined)[];
  readonly attributes: ResolvedAttributes<AttributesOf<K>>;
}

/** One way to compute an operator with ONNX operators. All forms of an operator give the same values, up to rounding. */
export interface Form<K extends OperatorName> {
  /** Whether the form can serve this call; forms without it always can. */
  applies?(call: Call<K>): boolean;
  /** Appends the nodes, and returns the operator's outputs. */
  build(g: GraphBuilder, call: Call<K>): Value[];
}
