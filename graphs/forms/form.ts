import type { GraphBuilder } from '../onnx/builder.js';
import type { ResolvedAttributes } from '../onnx/operator.js';
import type { AttributesOf, OperatorName } from '../onnx/ops/index.js';
import type { Value } from '../onnx/types.js';
import type { SlicePairs } from './blocked/slice-pairs.js';
import type { BlockedLayout, Layout } from './layout.js';

/** One node to be lowered. */
export interface Call<K extends OperatorName> {
  readonly inputs: readonly (Value | null)[];
  /** How each input lies in memory, where that is known: when a graph is lowered, not before. */
  readonly layouts?: readonly Layout[];
  readonly attributes: ResolvedAttributes<AttributesOf<K>>;
  /** What ONNX Runtime's own kernels offer on the engine; `null` where only the standard's operators may be used. */
  readonly blocked: BlockedLayout | null;
}

/** What a node's inputs have become, in the layout that a form wants; converted when first asked for. */
export interface Operands {
  /** Input `i` as one tensor, as ONNX has it. */
  plain(i: number): Value;
  /** Input `i`, a feature map, as slice pairs. */
  slicePairs(i: number): SlicePairs;
}

/** A form on tensors as ONNX has them. */
export interface PlainForm<K extends OperatorName> {
  readonly layout?: 'plain';
  /** Whether the form can serve this call; forms without it always can. */
  applies?(call: Call<K>): boolean;
  /** Appends the nodes, and returns the operator's outputs. */
  build(g: GraphBuilder, call: Call<K>): Value[];
}

/** A form that takes and returns feature maps as {@link SlicePairs}. `call.inputs` tell shapes only. */
export interface BlockedForm<K extends OperatorName> {
  readonly layout: 'slicePairs';
  applies(call: Call<K>): boolean;
  build(g: GraphBuilder, call: Call<K>, operands: Operands): (Value | SlicePairs)[];
}

export type Form<K extends OperatorName> = PlainForm<K> | BlockedForm<K>;
