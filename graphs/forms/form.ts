import type { GraphBuilder } from '../onnx/builder.js';
import type { ResolvedAttributes } from '../onnx/operator.js';
import type { AttributesOf, OperatorName } from '../onnx/ops/index.js';
import type { Node, Value } from '../onnx/types.js';
import type { Planes } from './blocked/slice-pairs.js';

/** ONNX Runtime's blocked layout on one engine. */
export interface Native {
  /** Channels in a block. */
  readonly block: number;
  /** Large feature maps are worked on in parts of about this many voxels, which stay in the processor's cache. */
  readonly chunk: number;
}

/** One node to be lowered. */
export interface Call<K extends OperatorName> {
  readonly inputs: readonly (Value | null)[];
  /** The node that made each input; `undefined` for an input of the graph or a constant. */
  readonly madeBy?: readonly (Node | undefined)[];
  readonly attributes: ResolvedAttributes<AttributesOf<K>>;
  /** What ONNX Runtime's own kernels offer on the engine; `null` where only the standard's operators may be used. */
  readonly native: Native | null;
}

/** What a node's inputs have become, in the layout that a form wants; converted when first asked for. */
export interface Operands {
  /** Input `i` as one tensor, as ONNX has it. */
  plain(i: number): Value;
  /** Input `i`, a feature map, as planes. */
  planes(i: number): Planes;
}

/** One way to compute an operator with ONNX operators. All forms of an operator give the same values, up to rounding. */
export interface PlainForm<K extends OperatorName> {
  readonly layout?: 'plain';
  /** Whether the form can serve this call; forms without it always can. */
  applies?(call: Call<K>): boolean;
  /** Appends the nodes, and returns the operator's outputs. */
  build(g: GraphBuilder, call: Call<K>): Value[];
}

/** A form that takes and returns feature maps as {@link Planes}. `call.inputs` tell shapes only. */
export interface PlanesForm<K extends OperatorName> {
  readonly layout: 'planes';
  applies(call: Call<K>): boolean;
  build(g: GraphBuilder, call: Call<K>, operands: Operands): (Value | Planes)[];
}

export type Form<K extends OperatorName> = PlainForm<K> | PlanesForm<K>;
