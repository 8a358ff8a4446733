import { attributesOf } from '../onnx/attributes.js';
import type { OperatorName } from '../onnx/ops/index.js';
import type { Node, Value } from '../onnx/types.js';
import type { Call } from './form.js';
import type { BlockedLayout, Layout } from './layout.js';

/**
 * Makes the calls that forms see of a graph's nodes.
 * @param describe tells type and shape of a node's inputs
 * @param layoutOf tells how they lie in memory, where that is known
 */
export const callsOf =
  (describe: (name: string) => Value, blocked: BlockedLayout | null, layoutOf?: (name: string) => Layout) =>
  (node: Node, operator: OperatorName): Call<OperatorName> => ({
    inputs: node.inputs.map((name) => (name === '' ? null : describe(name))),
    attributes: attributesOf(node, operator) as Call<OperatorName>['attributes'],
    ...(layoutOf && { layouts: node.inputs.map((name) => (name === '' ? 'plain' : layoutOf(name))) }),
    blocked,
  });
