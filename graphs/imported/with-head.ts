/** A model whose last layers are exchanged; what is left of it stays as it is stored, byte by byte. */
import {
  joined,
  type Message,
  NodeProto,
  storedField,
  storedFields,
  TensorProto,
  ValueInfoProto,
} from '../onnx/messages.js';
import { decodeModel, encodeModel, encodeValue } from '../onnx/schema.js';
import { type Graph, GraphError, type Node, type Value } from '../onnx/types.js';
import { needed, readsOf } from '../passes/needed.js';
import { firstMade } from './makers.js';
import { freeNames } from './names.js';

/** Field numbers of onnx.proto. */
const MODEL = { graph: 7 } as const;
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 } as const;

const contentOf = (message: Uint8Array, field: number): Uint8Array =>
  storedFields(message).find(({ id }) => id === field)!.content!;

/** The head with its input called as a value of the model, and no names that what is left of the model has. */
function renamed(head: Graph, value: string, nodes: readonly Node[], tensors: Iterable<string>): Graph {
  const taken = new Set([...tensors, ...nodes.flatMap(({ outputs }) => outputs)]);
  const nameOf = freeNames(taken, undefined, [[head.inputs[0]!.name, value]]);
  const nodeName = freeNames(new Set(nodes.map(({ name }) => name)));
  return {
    ...head,
    initializers: new Map([...head.initializers].map(([name, tensor]) => [nameOf(name), tensor])),
    nodes: head.nodes.map((node) => ({
      ...node,
      name: nodeName(node.name),
      inputs: node.inputs.map(nameOf),
      outputs: node.outputs.map(nameOf),
    })),
    outputs: head.outputs.map((output) => ({ ...output, name: nameOf(output.name) })),
    values: new Map(),
  };
}

/**
 * Puts a head on a value inside a model, in place of everything that does not lead to that value. The outputs are those of the head.
 * @param bytes of a model whose tensors are all in it
 * @param value that becomes the only input of the head
 * @param head a model of operators that are the same in the other's version of the standard
 * @throws GraphError when the model has no such value, or the result is too large for a file
 */
export function withHead(bytes: Uint8Array, value: string, head: Uint8Array): Uint8Array {
  const { graph } = decodeModel(bytes);
  const nodes = needed({ ...graph, outputs: [{ name: value, type: 'float32', shape: [] }] });
  if (!nodes.some(({ outputs }) => outputs.includes(value)))
    throw new GraphError(`the model has no value "${value}"`);
  const kept = new Set(nodes.map(firstMade));
  const read = new Set(nodes.flatMap(readsOf));
  const isDropped = (name: string) => graph.initializers.has(name) && !read.has(name);

  const model = decodeModel(head);
  const added = encodeModel({ ...model, graph: renamed(model.graph, value, nodes, read) });
  const isAdded: readonly number[] = [GRAPH.node, GRAPH.initializer, GRAPH.output];
  const fields = storedFields(contentOf(added, MODEL.graph)).filter(({ id }) => isAdded.includes(id));

  const stays = (id: number, content: Uint8Array): boolean => {
    if (id === GRAPH.output) return false;
    if (id === GRAPH.node)
      return kept.has(firstMade({ outputs: (NodeProto.decode(content) as Message).output as string[] }));
    if (id === GRAPH.initializer) return !isDropped((TensorProto.decode(content) as Message).name);
    return id !== GRAPH.input || !isDropped((ValueInfoProto.decode(content) as Message).name);
  };
  const old = storedFields(contentOf(bytes, MODEL.graph));
  const changed = joined([
    ...old.filter(({ id, content }) => content === null || stays(id, content)).map((field) => field.bytes),
    ...fields.map((field) => field.bytes),
  ]);
  return joined(
    storedFields(bytes).map((field) =>
      field.id === MODEL.graph ? storedField(field.id, changed) : field.bytes,
    ),
  );
}

/** A model that gives a value inside it as an output too, behind its own. */
export function withOutput(bytes: Uint8Array, value: Value): Uint8Array {
  const output = ValueInfoProto.encode(encodeValue(value)).finish();
  return joined(
    storedFields(bytes).map((field) =>
      field.id === MODEL.graph
        ? storedField(field.id, joined([field.content!, storedField(GRAPH.output, output)]))
        : field.bytes,
    ),
  );
}
