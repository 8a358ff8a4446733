/** What an import made of a model, for people. */
import type { Graph, Model, Node } from '../onnx/types.js';
import type { Gap } from './gaps.js';
import type { ImportedNetwork, ImportedParameter } from './network.js';
import { isFloat } from './numbers.js';
import type { Assigned, MergedTensor } from './parameters.js';
import type { StaticGraph } from './static.js';

/** All uses of an operator that cannot be imported for the same reason. */
export interface Unsupported {
  readonly operator: string;
  readonly reason: string;
  readonly count: number;
  /** One of these nodes. */
  readonly node: string;
}

/** A tensor of the network, for reports. */
export interface ReportedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The operator that it belongs to. */
  readonly operator: string;
}

/** What an import made of a model. */
export interface ImportReport {
  readonly producer: string;
  readonly opset: number;
  readonly trained: readonly ReportedTensor[];
  readonly frozen: readonly ReportedTensor[];
  /** Stored tensors of several floats that are no weights by their place, with an operator that reads them: they stay as they are. */
  readonly constants: readonly ReportedTensor[];
  /** Running means and variances. */
  readonly buffers: readonly ReportedTensor[];
  /** Tensors that exporters merged, and that are weights of their own again. */
  readonly split: Assigned['split'];
  /** Weights that are used several times. */
  readonly shared: readonly MergedTensor[];
  /** Convolutions into which a batch normalisation was folded when the model was exported, as far as names show it. */
  readonly folded: readonly string[];
  /** What is lost or uncertain, and what to do about it. */
  readonly warnings: readonly string[];
  /** Everything that keeps the model from being trained, as far as the nodes could be examined. */
  readonly unsupported: readonly Unsupported[];
  /** Nodes that were not examined, as they are behind one that is not supported and the file does not say of what sizes its values are. */
  readonly unexamined: number;
}

const summed = (gaps: readonly Gap[]): Unsupported[] => {
  const counts = new Map<string, Unsupported>();
  for (const gap of gaps) {
    const key = `${gap.operator}\n${gap.reason}`;
    const known = counts.get(key);
    counts.set(key, known ? { ...known, count: known.count + 1 } : { ...gap, count: 1 });
  }
  return [...counts.values()];
};

const AS_IN_TRAINING =
  'it is exported as in training, inside a function or a branch, where the trained model could not have it as in inference: export the ' +
  'model in evaluation mode, or without functions';

/** Layers as in training that no node of the file is. @param file values that nodes of the file make */
function hiddenLayers({ nodes, constants }: StaticGraph, file: ReadonlySet<string>): Gap[] {
  const isInTraining = ({ operator, domain, attributes: { training_mode: mode }, inputs }: Node) =>
    domain === '' &&
    ((operator === 'BatchNormalization' && mode?.kind === 'int' && mode.value === 1) ||
      (operator === 'Dropout' && Number(constants.get(inputs[2] ?? '')?.data[0] ?? 0) === 1));
  return nodes
    .filter((node) => isInTraining(node) && !file.has(node.outputs[0]!))
    .map(({ operator, name, outputs }) => ({
      operator,
      reason: AS_IN_TRAINING,
      node: name || outputs[0]!,
    }));
}

function constantsOf({ graph: { initializers, nodes }, parameters }: ImportedNetwork): ReportedTensor[] {
  const changing = new Set([
    ...parameters.map(({ name }) => name),
    ...nodes.flatMap(({ outputs }) => outputs),
  ]);
  const readers = new Map(
    nodes.flatMap(({ inputs, operator }) => inputs.map((name) => [name, operator] as const)),
  );
  return [...initializers].flatMap(([name, { type, shape, data }]) => {
    const operator = readers.get(name);
    return operator && isFloat(type) && data.length > 1 && !changing.has(name)
      ? [{ name, shape, operator }]
      : [];
  });
}

/** Convolutions that seem to have taken in the normalisation behind them. */
function foldedOf({ nodes }: Graph, { producer }: Model): string[] {
  if (!producer.name.startsWith('pytorch')) return [];
  const isFolded = ({ operator, inputs, outputs }: Node) =>
    operator.startsWith('Conv') &&
    (/^onnx::Conv/.test(inputs[1] ?? '') || /^getitem(_\d+)?$/.test(outputs[0] ?? ''));
  return nodes.filter(isFolded).map(({ name, outputs }) => name || outputs[0]!);
}

function warningsOf(folded: readonly string[], { split, shared, fixed }: Assigned): string[] {
  const warnings: string[] = [];
  if (folded.length > 0)
    warnings.push(
      `batch normalisation was folded into ${folded.length} convolutions when this model was exported: they are trained ` +
        'as they are. To keep it, export with torch.onnx.export(…, dynamo=False, ' +
        'training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False), or with dynamo=True and optimize=False',
    );
  const list = (tensors: readonly MergedTensor[]) => tensors.map(({ source }) => source).join(', ');
  if (split.length > 0)
    warnings.push(`${list(split)}: used several times, taken for tensors that the export merged, and split`);
  if (shared.length > 0) warnings.push(`${list(shared)}: used several times, and trained as one tensor`);
  if (fixed.length > 0)
    warnings.push(
      `${fixed.join(', ')}: inside a function or a branch of the file, and not trained. To train them, export the model without functions`,
    );
  return warnings;
}

/** A model on its way to a network. */
interface Imported {
  readonly model: Model;
  /** Its graph, as far as its outputs need it. */
  readonly file: Graph;
  /** Values that its nodes make. */
  readonly made: ReadonlySet<string>;
  readonly graph: StaticGraph;
  readonly assigned: Assigned;
  readonly network: ImportedNetwork;
}

export function importReport({ model, file, made, graph, assigned, network }: Imported): ImportReport {
  const folded = foldedOf(file, model);
  const reported = (wanted: (p: ImportedParameter) => boolean) =>
    network.parameters.filter(wanted).map(({ name, shape, operator }) => ({ name, shape, operator }));
  return {
    producer: `${model.producer.name} ${model.producer.version}`.trim(),
    opset: graph.opset,
    trained: reported((p) => p.trainable),
    frozen: reported((p) => p.role === 'weight' && !p.trainable),
    constants: constantsOf(network),
    buffers: reported((p) => p.role === 'statistic'),
    split: assigned.split,
    shared: assigned.shared,
    folded,
    warnings: warningsOf(folded, assigned),
    unsupported: summed([...graph.gaps, ...hiddenLayers(graph, made)]),
    unexamined: graph.unexamined,
  };
}

/** Which uses of an operator cannot be imported, without why. */
export const usesText = ({ operator, count, node }: Unsupported): string =>
  `${operator} (${count}, such as "${node}")`;

/** Everything that keeps a model from being trained, a line each. */
export function refusalLines({ unsupported, unexamined }: ImportReport): string[] {
  const lines = unsupported.map((uses) => `${usesText(uses)}: ${uses.reason}`);
  return unexamined === 0 ? lines : [...lines, unexaminedNote(unexamined)];
}

/** What to do about nodes that were not examined. */
export const unexaminedNote = (nodes: number): string =>
  `${nodes} nodes behind these were not examined, as the file does not say the sizes of their inputs: there may be more that is missing. ` +
  "Shape inference (onnx.shape_inference, or ONNX Runtime's symbolic_shape_infer) writes sizes into a file";
