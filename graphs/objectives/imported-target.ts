/** Target tasks on imported networks: images in, logits of the task's classes out. */
import type { ImportedModel } from '../imported/import-model.js';
import { checkAlongClasses, endingOf, makersOf, withoutActivation } from '../imported/makers.js';
import { importedLayers, reserveParameters } from '../imported/network.js';
import { classifierHead } from '../models/transfer.js';
import { pointwise } from '../nn/layers.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { formatShape, GraphError, type Node, type Value } from '../onnx/types.js';
import { type ClassificationLoss, classified } from './classes.js';
import { type ImageOptions, imageInput } from './image.js';
import { adaptedImage, type ImageAdapter } from './image-adapter.js';
import { type SegmentationLosses, segmented } from './masks.js';
import type { Objective } from './objective.js';

export interface TargetHead {
  readonly kind: 'classification' | 'segmentation';
  /**
   * `replace`: new layers, as {@link classifierHead} or one 1×1×1 convolution, take the place of the last linear layer. `keep`: the
   * network's own output is the logits.
   */
  readonly head: 'replace' | 'keep';
  /** What new layers are put on, or the logits: an output, or any value inside the network; null takes what suits. */
  readonly value: string | null;
  /** Logits of the task. */
  readonly outputs: number;
  /** Neurons of a hidden layer in new layers of a classifier; null has none. */
  readonly hidden: number | null;
}

/** Finds its way in a network from its output back. */
class Makers {
  readonly of: (value: string) => Node | undefined;
  /** Weights, stored tensors, and what is made of them alone, such as a transposed weight. */
  readonly #weights: Set<string>;

  constructor({ graph, parameters }: ImportedModel) {
    this.of = makersOf(graph);
    this.#weights = new Set([...parameters.map(({ name }) => name), ...graph.initializers.keys(), '']);
    for (const { inputs, outputs } of graph.nodes)
      if (inputs.every((name) => this.#weights.has(name)))
        for (const name of outputs) this.#weights.add(name);
  }

  /** The only input of a node that is no weight. */
  #operand(node: Node): string | undefined {
    const own = node.inputs.filter((name) => !this.#weights.has(name));
    return own.length === 1 ? own[0] : undefined;
  }

  /** What a last linear layer is given; undefined where the value does not come from one. */
  beforeLinear(value: string, kind: TargetHead['kind']): string | undefined {
    const maker = this.of(value);
    const operand = maker && this.#operand(maker);
    if (!operand) return undefined;
    // A bias of its own.
    if (maker.operator === 'Add') return this.beforeLinear(operand, kind);
    const kernel = maker.attributes.kernel_shape;
    const isPointwise = kernel?.kind === 'ints' && kernel.value.every((size) => size === 1);
    const isLinear = kind === 'classification' ? /^(Gemm|MatMul)$/ : /^Conv$/;
    return isLinear.test(maker.operator) && (kind === 'classification' || isPointwise) ? operand : undefined;
  }

  /** The logit in a classifier of our own whose two probabilities are 1 − p and p. */
  logitOfPair(value: string): string | undefined {
    const maker = this.of(value);
    const sigmoid = maker?.operator === 'Concat' && maker.inputs.length === 2 && this.of(maker.inputs[1]!);
    return sigmoid && sigmoid.operator === 'Sigmoid' ? sigmoid.inputs[0] : undefined;
  }
}

/** What makes probabilities of logits. */
const ACTIVATIONS: readonly string[] = ['Softmax', 'LogSoftmax', 'Sigmoid'];

/** The value of a network that new layers of a task are put on. */
export function featuresOf(
  model: ImportedModel,
  { kind, value }: Pick<TargetHead, 'kind' | 'value'>,
): string {
  if (value !== null) return value;
  const makers = new Makers(model);
  const names = model.outputs.map(({ name }) => name);
  if (kind === 'classification' && names.includes('features')) return 'features';
  const [first] = names as [string];
  const maker = endingOf(model.graph, first)?.maker;
  const logits =
    (maker && ACTIVATIONS.includes(maker.operator) ? maker.inputs[0]! : makers.logitOfPair(first)) ?? first;
  return makers.beforeLinear(logits, kind) ?? first;
}

/** What is one or two logits a class, and whether the activation behind it is that of exclusive classes. */
interface OwnLogits {
  readonly network: ImportedModel;
  /** Of the logits in the network. */
  readonly name: string;
  readonly activation: string | null;
}

function ownLogits(model: ImportedModel, output: string): OwnLogits {
  const pair = new Makers(model).logitOfPair(output);
  if (pair) return { network: model, name: pair, activation: 'Sigmoid' };
  const ending = endingOf(model.graph, output);
  if (!ending || !ACTIVATIONS.includes(ending.maker.operator))
    return { network: model, name: output, activation: null };
  checkAlongClasses(ending, model.graph);
  const { maker } = ending;
  return { network: withoutActivation(model, maker), name: output, activation: maker.operator };
}

/** What the values of an output of a network are that has learned with {@link TargetHead.head} `keep`. */
export function keptValues(
  model: ImportedModel,
  output: string,
): 'logits' | 'probabilities' | 'logProbabilities' {
  const { activation } = ownLogits(model, output);
  if (activation === null) return 'logits';
  return activation === 'LogSoftmax' ? 'logProbabilities' : 'probabilities';
}

/** z₁ − z₀, whose sigmoid is the softmax's probability of the second of two exclusive classes. */
function difference(g: GraphBuilder, logits: Value): Value {
  const [no, yes] = g.addMany('Split', [logits, g.integers([1, 1])], { axis: 1 }, 2) as [Value, Value];
  return g.add('Sub', [yes, no]);
}

/** The network's own output as the task's logits. @throws GraphError when it is of other classes */
function keptLogits(
  net: NetworkBuilder,
  value: Value,
  { activation }: OwnLogits,
  { kind, outputs }: TargetHead,
): Value {
  const found = value.shape[1];
  const isExclusive = activation === 'Softmax' || activation === 'LogSoftmax';
  // Of two exclusive classes, one of which may be the background.
  const isPair = outputs === 1 && found === 2 && activation !== 'Sigmoid';
  const wantsExclusive = kind === 'classification' && outputs > 1;
  const suits =
    (kind === 'segmentation' || value.shape.length === 2) &&
    (isPair || (found === outputs && (activation === null || isExclusive === wantsExclusive)));
  if (suits) return isPair ? difference(net.g, value) : value;
  const more = activation ? `, made by ${activation}` : '';
  throw new GraphError(
    `the output of the model is ${formatShape(value.shape)}${more}, which cannot be the logits of ${outputs === 1 ? 'this class' : `these ${outputs} classes`}: replace its head`,
  );
}

/** A vector [N,F] of a feature vector or map. */
function vectorOf(g: GraphBuilder, value: Value): Value {
  if (value.shape.length === 2) return value;
  // Of three axes it is not known which are features: tokens come before theirs, positions behind.
  if (value.shape.length < 4)
    throw new GraphError(
      `"${value.name}" is ${formatShape(value.shape)}, which are no features of images: [N,features], or a feature map [N,features,…] of two or three axes, is needed`,
    );
  return g.reshape(g.add('GlobalAveragePool', [value]), [0, value.shape[1] as number]);
}

/**
 * New layers of a task on features [N,F] or a feature map [N,F,…]: [N,outputs], or [N,outputs,…] for a segmenter. Parameters: those of
 * {@link classifierHead}, or `segmenter.output.{weight,bias}`.
 */
export function targetHead(net: NetworkBuilder, features: Value, head: Omit<TargetHead, 'value'>): Value {
  return head.kind === 'classification'
    ? classifierHead(net, vectorOf(net.g, features), head)
    : pointwise(net, 'segmenter.output', features, head.outputs);
}

/** A network with the logits of a task, behind images [N,C,D,H,W] that are there. */
function taskLogits(
  net: NetworkBuilder,
  model: ImportedModel,
  image: Value,
  { adapter, head, rate = 1 }: Omit<ImportedTargetOptions, 'image'>,
): Value {
  reserveParameters(net, model);
  const x = net.g.scope('image', () => adaptedImage(net.g, image, adapter));
  const layers = (network: ImportedModel, name: string) =>
    net.atRate(rate, () => importedLayers(net, network, { [adapter.input]: x }, [name]).get(name)!);
  if (head.head === 'replace') return targetHead(net, layers(model, featuresOf(model, head)), head);
  const own = ownLogits(model, head.value ?? model.outputs[0]!.name);
  return keptLogits(net, layers(own.network, own.name), own, head);
}

interface ImportedTargetOptions {
  readonly image: ImageOptions;
  readonly adapter: ImageAdapter;
  readonly head: TargetHead;
  /** Share of the learning rate at which the network is trained, without new layers; 1 by default. */
  readonly rate?: number;
}

/** Images as they are in the samples: the adapter brings them to the network's values. */
const rawImage = ({ g }: NetworkBuilder, image: ImageOptions): Value =>
  imageInput(g, { ...image, window: null });

/** Classification by an imported network; inputs and outputs are those of `classification`. */
export const importedClassification =
  (model: ImportedModel, { image, ...options }: ImportedTargetOptions, loss: ClassificationLoss): Objective =>
  (net) => {
    const logits = taskLogits(net, model, rawImage(net, image), options);
    return classified(net, logits, { batch: image.batch, outputs: options.head.outputs, loss });
  };

/** Segmentation by an imported network; inputs and outputs are those of `segmentation`. */
export const importedSegmentation =
  (
    model: ImportedModel,
    { image, ...options }: ImportedTargetOptions,
    losses: SegmentationLosses,
  ): Objective =>
  (net) => {
    const logits = taskLogits(net, model, rawImage(net, image), options);
    const masks = [image.batch, options.head.outputs, ...image.size];
    // Maps of a 2-D network lack the only slice.
    const isFlat = image.size[0] === 1 && logits.shape.length === 4;
    const maps = isFlat ? logits.shape.toSpliced(2, 0, 1) : logits.shape;
    if (formatShape(maps) !== formatShape(masks))
      throw new GraphError(
        `the network makes maps ${formatShape(logits.shape)}, and the masks are ${formatShape(masks)}: name a value of their size`,
      );
    return segmented(net, isFlat ? net.g.reshape(logits, masks) : logits, losses);
  };
