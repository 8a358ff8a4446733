/** Nodes of functions and branches in the place of the node that stands for them. */
import type { Node } from '../onnx/types.js';

/** What functions are found by. */
export const identityOf = (domain: string, name: string) => `${domain}:${name}`;

/** What a value inside what a node stands for is called. */
export const innerName = ({ name, outputs }: Node, inner: string): string => `${name || outputs[0]}/${inner}`;

/** A node that gives a value another name. */
export const identity = (from: string, to: string): Node => ({
  name: to,
  operator: 'Identity',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: {},
});

/** A node, and what its bodies read of the graph around them, with other names. */
export const renamedNode = (node: Node, rename: (name: string) => string): Node => ({
  ...node,
  inputs: node.inputs.map(rename),
  outputs: node.outputs.map(rename),
  attributes: Object.fromEntries(
    Object.entries(node.attributes).map(([name, attribute]) => {
      if (attribute.kind !== 'graph') return [name, attribute];
      const body = attribute.value;
      const outputs = body.outputs.map((value) => ({ ...value, name: rename(value.name) }));
      return [
        name,
        { kind: 'graph', value: { ...body, outputs, nodes: body.nodes.map((n) => renamedNode(n, rename)) } },
      ];
    }),
  ),
});
