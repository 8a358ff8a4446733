import type { GraphBuilder } from '../onnx/builder.js';
import type { ResolvedAttributes } from '../onnx/operator.js';
import type { AttributesOf, OperatorName } from '../onnx/ops/index.js';
import type { Value } from '../onnx/types.js';

/** One application of an operator, as its gradient rule sees it. */
export interface Application<K extends OperatorName> {
  readonly g: GraphBuilder;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: ResolvedAttributes<AttributesOf<K>>;
  /** dL/d(first output). */
  readonly dy: Value;
  /** dL/d(each output); `null` where the loss does not depend on it. */
  readonly gradients: readonly (Value | null)[];
}

/**
 * Says, for each input, how to build dL/d(input); `null` where there is none. Only what is needed is built.
 * A gradient may keep the output's broadcast shape: the engine sums it down to the input's.
 */
export type Rule<K extends OperatorName> = (application: Application<K>) => readonly ((() => Value) | null)[];

/** Why an operator has no gradient. */
export interface NoGradient {
  readonly noGradient: string;
}
export const noGradient = (reason: string): NoGradient => ({ noGradient: reason });

/** The rules of one family, each typed by its operator's name. */
export type Rules<K extends OperatorName> = { readonly [N in K]: Rule<N> | NoGradient };
