import type { Attribute, Graph, Node } from '../onnx/types.js';

/** A node whose bodies, of loops and branches, have gone through a pass. */
export const inBodies = (node: Node, pass: (body: Graph) => Graph): Node => ({
  ...node,
  attributes: Object.fromEntries(
    Object.entries(node.attributes).map(([name, attribute]): [string, Attribute] => [
      name,
      attribute.kind === 'graph' ? { ...attribute, value: pass(attribute.value) } : attribute,
    ]),
  ),
});
