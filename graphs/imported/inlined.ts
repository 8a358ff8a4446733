/** Nodes of functions and branches in the place of the node that stands for them. */
import type { Node } from '../onnx/types.js';
import { firstMade } from './makers.js';

/** What functions are found by. */
export const identityOf = (domain: string, name: string) => `${domain}:${name}`;

/** What a value inside what a node stands for is called. */
export const innerName = (node: Node, inner: string): string => `${node.name || firstMade(node)}/${inner}`;

/** A node that gives a value another name. */
export const identity = (from: string, to: string): Node => ({
  name: to,
  operator: 'Identity',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: {},
});

/** A node, and all that its bodies read and make, with other names. */
export const renamedNode = (node: Node, rename: (name: string) => string): Node => ({
  ...node,
  inputs: node.inputs.map(rename),
  outputs: node.outputs.map(rename),
  attributes: Object.fromEntries(
    Object.entries(node.attributes).map(([name, attribute]) => {
      if (attribute.kind !== 'graph') return [name, attribute];
      const { inputs, outputs, initializers, nodes, ...body } = attribute.value;
      const named = <V extends { readonly name: string }>(value: V): V => ({
        ...value,
        name: rename(value.name),
      });
      const value = {
        ...body,
        inputs: inputs.map(named),
        outputs: outputs.map(named),
        initializers: new Map([...initializers].map(([inner, tensor]) => [rename(inner), tensor])),
        nodes: nodes.map((inner) => renamedNode(inner, rename)),
      };
      return [name, { kind: 'graph', value }];
    }),
  ),
});
