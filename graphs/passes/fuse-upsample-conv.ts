/**
 * Nearest up-sampling ×2 and the 3×3×3 convolution behind it as one UpsampleConv, which some forms compute with fewer products.
 *
 * - They are fused only when the convolution is all that reads what is up-sampled, bodies and the graph's outputs included.
 * - All values but those that were up-sampled keep their names; inputs, outputs and results stay the same.
 * - The operators are ours: graphs of files go through {@link bindSizes} first.
 */
import { INTERNAL_DOMAIN } from '../onnx/operator.js';
import { findOperator } from '../onnx/registry.js';
import type { Attribute, Graph, Node } from '../onnx/types.js';
import { useCounts } from './needed.js';

const text = (attribute: Attribute | undefined) => (attribute?.kind === 'string' ? attribute.value : '');
const numbers = (attribute: Attribute | undefined) =>
  attribute?.kind === 'ints' ? attribute.value.join() : '';

/** Whether a node repeats every voxel twice along depth, height and width. */
function doubles({ inputs, attributes }: Node, { initializers }: Graph): boolean {
  const scales = initializers.get(inputs[2] ?? '');
  return (
    inputs.slice(3).every((name) => name === '') &&
    scales?.type === 'float32' &&
    (scales.data as Float32Array).join() === '1,1,2,2,2' &&
    text(attributes.mode) === 'nearest' &&
    text(attributes.coordinate_transformation_mode) === 'asymmetric' &&
    text(attributes.nearest_mode) === 'floor'
  );
}

const keepsSize = ({ attributes: { kernel_shape, strides, pads, dilations, group } }: Node): boolean =>
  numbers(kernel_shape) === '3,3,3' &&
  numbers(pads) === '1,1,1,1,1,1' &&
  ['', '1,1,1'].includes(numbers(strides)) &&
  ['', '1,1,1'].includes(numbers(dilations)) &&
  (group?.kind !== 'int' || group.value === 1);

export function fuseUpsampleConv(graph: Graph): Graph {
  const { nodes } = graph;
  const uses = useCounts(graph);
  const larger = new Map(
    nodes
      .filter((node) => findOperator(node) === 'Resize' && doubles(node, graph))
      .map((node) => [node.outputs[0]!, node] as const),
  );
  const gone = new Set<Node>();
  const fused = nodes.map((node) => {
    const resize = larger.get(node.inputs[0] ?? '');
    const fits =
      resize && findOperator(node) === 'Conv' && keepsSize(node) && uses.get(resize.outputs[0]!) === 1;
    if (!fits) return node;
    gone.add(resize);
    const inputs = [resize.inputs[0]!, ...node.inputs.slice(1)];
    return { ...node, operator: 'UpsampleConv', domain: INTERNAL_DOMAIN, inputs, attributes: {} };
  });
  const names = new Set([...gone].flatMap((node) => node.outputs));
  return {
    ...graph,
    nodes: fused.filter((node) => !gone.has(node)),
    values: new Map([...graph.values].filter(([name]) => !names.has(name))),
  };
}
