import { NetworkBuilder } from '../nn/module.js';
import { GraphBuilder } from '../onnx/builder.js';
import { decodeModel } from '../onnx/schema.js';
import type { ReadExternal } from '../onnx/tensors.js';
import {
  type ElementType,
  type Graph,
  GraphError,
  type Node,
  type Tensor,
  type Value,
} from '../onnx/types.js';
import { needed } from '../passes/needed.js';
import { boundInputs } from './inputs.js';
import { mergedPads } from './merged-pads.js';
import { type ImportedNetwork, type ImportedParameter, importedLayers, networkInputs } from './network.js';
import { withNoise } from './noise.js';
import { type Assigned, assignParameters, isOfSizes, type SplitRule } from './parameters.js';
import { type ImportReport, importReport, refusalLines } from './report.js';
import { singlePrecision } from './single.js';
import { sorted } from './sorted.js';
import { type StaticGraph, staticGraph } from './static.js';

export interface ImportOptions {
  /** Sizes of the inputs that the file leaves open, by their names; those that it fixes may be left out. */
  readonly inputs?: Readonly<Record<string, readonly number[]>> | undefined;
  /** Reads the bytes of a tensor that lies in a file beside the model. */
  readonly externalData?: ReadExternal | undefined;
  /**
   * Whether a tensor that is used several times is taken apart, into one weight a use. Exporters merge tensors of equal
   * values; without an answer, vectors (scales, biases) are taken apart, and all others stay shared.
   */
  readonly split?: SplitRule | undefined;
  /**
   * Outputs, or values inside the model, that training is about; all outputs without it. What leads to others only may be of
   * operators that are not supported, and stays as it is in the file.
   */
  readonly outputs?: readonly string[] | undefined;
  /** Weights that stay as they are, by their names; none without it. */
  readonly freeze?: ((name: string) => boolean) | undefined;
}

/** A network of a file, for inputs of fixed sizes. */
export interface ImportedModel extends ImportedNetwork {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly report: ImportReport;
}

/** What is left of the graph when parameters are no constants: all that does not depend on constants alone. */
function remaining(graph: StaticGraph, { nodes, tensors }: Assigned): Node[] {
  const derived = new Set(tensors.map(({ name }) => name));
  return nodes.filter((node) => {
    const depends = node.inputs.some((name) => derived.has(name)) && !isOfSizes(node);
    if (depends) for (const name of node.outputs) derived.add(name);
    return depends || !node.outputs.every((name) => name === '' || graph.constants.has(name));
  });
}

const valuesOf = ({ data }: Tensor): Float32Array =>
  data instanceof Float32Array ? data : Float32Array.from(data as Float64Array);

/** The element type of every stored tensor in the file. */
function storedTypes({ initializers, nodes }: Graph): Map<string, ElementType> {
  // What a constant holds in another attribute, such as `value_floats`, are floats or no weights.
  const constants = nodes.flatMap(({ operator, attributes: { value }, outputs }) =>
    operator === 'Constant'
      ? [[outputs[0]!, value?.kind === 'tensor' ? value.value.type : 'float32'] as const]
      : [],
  );
  return new Map([...constants, ...[...initializers].map(([name, { type }]) => [name, type] as const)]);
}

/** Outputs of the network in training, with their types and sizes. */
function outputsOf(network: ImportedNetwork, inputs: readonly Value[]): Value[] {
  const g = new GraphBuilder('outputs');
  const made = importedLayers(new NetworkBuilder(g, 'training'), network, networkInputs(g, inputs));
  return [...made].map(([name, { type, shape }]) => ({ name, type, shape }));
}

/** What of a graph some values need. @throws GraphError for a value that it does not have */
function wantedOf(graph: Graph, names: ImportOptions['outputs']): Graph {
  if (!names) return graph;
  const outputs = names.map(
    (name): Value =>
      graph.outputs.find((value) => value.name === name) ?? { name, type: 'float32', shape: [] },
  );
  const nodes = sorted(graph);
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  for (const name of names) if (!known.has(name)) throw new GraphError(`the network has no value "${name}"`);
  return { ...graph, outputs, nodes: needed({ ...graph, outputs, nodes }) };
}

function examine(
  bytes: Uint8Array,
  options: ImportOptions,
): { report: ImportReport; build: () => ImportedModel } {
  const model = decodeModel(bytes, options.externalData);
  const opset = model.opsets[''];
  if (opset === undefined)
    throw new GraphError('the model does not say which version of the standard it is written in');
  const file = wantedOf(singlePrecision(model.graph), options.outputs);
  const inputs = boundInputs(file, options.inputs ?? {});
  const made = new Set(file.nodes.flatMap(({ outputs }) => outputs));
  const { graph, noise } = withNoise(staticGraph(file, opset, inputs, model.functions), made);
  const assigned = assignParameters(file, graph, options.split);
  const types = storedTypes(model.graph);
  const parameters = assigned.tensors.map((tensor): ImportedParameter => {
    const frozen = options.freeze?.(tensor.name) ?? false;
    return {
      ...tensor,
      ...{ frozen, trainable: tensor.role === 'weight' && !frozen },
      type: types.get(tensor.source)!,
      values: valuesOf(graph.constants.get(tensor.source)!),
    };
  });
  const nodes = mergedPads(remaining(graph, assigned), graph.constants);
  const read = new Set([...nodes.flatMap((node) => node.inputs), ...graph.outputs]);
  const network: ImportedNetwork = {
    graph: {
      name: file.name,
      inputs,
      outputs: file.outputs,
      nodes,
      initializers: new Map([...graph.constants].filter(([name]) => read.has(name))),
      values: graph.values,
      opsets: { '': opset },
    },
    parameters,
    noise,
  };
  const report = importReport({ model, file, made, graph, assigned, network });
  return { report, build: () => ({ ...network, inputs, outputs: outputsOf(network, inputs), report }) };
}

/**
 * What an import would make of a model: what would be trained, and everything that keeps it from being trained.
 * @throws GraphError when the bytes are no model, sizes of its inputs are missing or do not suit it, or it is not valid
 */
export function examineModel(bytes: Uint8Array, options: ImportOptions = {}): ImportReport {
  const { report, build } = examine(bytes, options);
  if (report.unsupported.length === 0) build();
  return report;
}

/**
 * Reads a `.onnx` file as a network that can be trained.
 * @param bytes of the file
 * @throws GraphError as {@link examineModel}, and with a list of everything in the model that is not supported
 */
export function importModel(bytes: Uint8Array, options: ImportOptions = {}): ImportedModel {
  const { report, build } = examine(bytes, options);
  if (report.unsupported.length > 0)
    throw new GraphError(`this model cannot be trained:\n  ${refusalLines(report).join('\n  ')}`);
  if (report.trained.length === 0 && !options.freeze)
    throw new GraphError(
      'this model has nothing to train: no tensor that its outputs depend on is a weight of a layer',
    );
  return build();
}
