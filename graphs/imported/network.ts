/** An imported network as a module: its layers in a graph that is built, its tensors as parameters. */
import { normaliseByStatistics, unbiased } from '../nn/batch-norm.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { GraphBuilder } from '../onnx/builder.js';
import {
  type Attribute,
  arrayOf,
  type ElementType,
  type Graph,
  GraphError,
  type Node,
  sizeOf,
  type Tensor,
  TYPE_CODES,
  type Value,
} from '../onnx/types.js';
import { needed } from '../passes/needed.js';
import { translate } from '../standard/index.js';
import { isCastToFloat } from './makers.js';
import type { Noise } from './noise.js';
import { isFloat } from './numbers.js';
import type { ImportedTensor } from './parameters.js';
import { dropout, dropoutMask, normalNumbers, uniformNumbers } from './random.js';

/** A parameter of an imported network. */
export interface ImportedParameter extends ImportedTensor {
  /** False for running statistics, and for what is frozen. */
  readonly trainable: boolean;
  /** Whether it is to stay as it is, by its name. */
  readonly frozen: boolean;
  /** The element type in the file. */
  readonly type: ElementType;
  /** As they are in the file. */
  readonly values: Float32Array;
}

export interface ImportedNetwork {
  /** In operators of the standard, without the parameters; what is no input, parameter or node is a stored tensor. */
  readonly graph: Graph;
  readonly parameters: readonly ImportedParameter[];
  /** Its random numbers, but for those of Dropout. */
  readonly noise: readonly Noise[];
}

/** The type of floats in the file: what is not of single precision there is so throughout. */
export const floatType = ({ parameters }: Pick<ImportedNetwork, 'parameters'>): ElementType =>
  parameters.find(({ type }) => type !== 'float32')?.type ?? 'float32';

/** Input of graphs that train a network with Dropout or other random numbers: an int64 scalar, at least 0, another one for every batch. */
export const DROPOUT_SEED = 'dropout_seed';

/** What a Dropout of the file drops: an attribute in older versions, an input in newer ones. */
function ratioOf({ attributes, inputs }: Node, constants: ReadonlyMap<string, Tensor>): number {
  const { ratio } = attributes;
  if (ratio?.kind === 'float') return ratio.value;
  if (!inputs[1]) return 0.5;
  const tensor = constants.get(inputs[1]);
  if (tensor) return Number(tensor.data[0]);
  throw new GraphError('a Dropout whose ratio is computed is not supported');
}

/** Operators that give values another type or shape. */
const SAME_VALUES: ReadonlySet<string> = new Set([
  ...['Cast', 'Flatten', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze'],
]);

class Layers {
  readonly #values: Map<string, Value>;
  readonly #constants = new Map<string, Value>();
  readonly #parameters: ReadonlyMap<string, ImportedParameter>;
  readonly #means: ReadonlyMap<string, number>;
  #seed: Value | undefined;
  /** So many layers of random numbers there are. */
  #drawn = 0;

  constructor(
    readonly net: NetworkBuilder,
    readonly network: ImportedNetwork,
    inputs: Readonly<Record<string, Value>>,
  ) {
    this.#values = new Map(Object.entries(inputs));
    this.#parameters = new Map(network.parameters.map((p) => [p.name, p]));
    this.#means = new Map(network.noise.map(({ value, mean }) => [value, mean]));
  }

  declare({ name, shape, values, trainable }: ImportedParameter): void {
    this.#values.set(name, this.net.parameter(name, shape, { kind: 'given', values }, trainable));
  }

  get #opset(): number {
    return this.network.graph.opsets![''] ?? 1;
  }

  /** @throws GraphError for a name that the network does not have */
  value(name: string): Value {
    const known = this.#values.get(name) ?? this.#constants.get(name);
    if (known) return known;
    const tensor = this.network.graph.initializers.get(name);
    if (!tensor) throw new GraphError(`the network has no value "${name}"`);
    const { g } = this.net;
    const { type, shape, data } = tensor;
    const value = g.constant(
      isFloat(type) ? { type: g.float, shape, data: arrayOf(g.float).from(data as Float32Array) } : tensor,
    );
    this.#constants.set(name, value);
    return value;
  }

  add(node: Node): void {
    const inputs = node.inputs.map((name) => (name === '' ? null : this.value(name)));
    const results = this.net.g.scope(node.name || node.outputs[0]!, () => this.#layer(node, inputs));
    for (const [i, name] of node.outputs.entries())
      if (name !== '' && results[i]) this.#values.set(name, results[i]);
  }

  #layer(node: Node, inputs: readonly (Value | null)[]): readonly Value[] {
    const { g } = this.net;
    switch (node.operator) {
      case 'BatchNormalization':
        return this.#batchNorm(node, inputs as Value[]);
      case 'Dropout':
        return this.#dropout(node, inputs[0]!);
      case 'Bernoulli':
      case 'RandomNormal':
      case 'RandomUniform':
        return [this.#noise(node)];
      case 'Cast':
        return isCastToFloat(node)
          ? [g.add('Cast', [inputs[0]!], { to: TYPE_CODES[g.float] })]
          : translate(g, node, inputs, this.#opset);
      default:
        return translate(g, node, inputs, this.#opset);
    }
  }

  /** Whether a normalisation is trained: one without weights of its own is, unless its statistics are frozen. */
  #isTrained({ inputs }: Node): boolean {
    const tensors = inputs.slice(1).flatMap((name) => this.#parameters.get(name) ?? []);
    const weights = tensors.filter(({ role }) => role === 'weight');
    return (weights.length > 0 ? weights : tensors).some(({ frozen }) => !frozen);
  }

  /** In training by the batch, with new running statistics; by these in evaluation, and where the layer is frozen. */
  #batchNorm(node: Node, inputs: readonly Value[]): readonly Value[] {
    const [x, scale, bias, mean, variance] = inputs as [Value, Value, Value, Value, Value];
    const { net } = this;
    const float = (name: string, fallback: number) => {
      const attribute = node.attributes[name];
      return attribute?.kind === 'float' ? attribute.value : fallback;
    };
    const epsilon = float('epsilon', 1e-5);
    if (net.purpose === 'training' && !this.#isTrained(node)) {
      // What lies before may be trained: the gradient passes through.
      const { training_mode: _, ...attributes } = node.attributes;
      return translate(net.g, { ...node, attributes }, inputs, this.#opset);
    }
    if (net.purpose !== 'training')
      return [normaliseByStatistics(net.g, x, [scale, bias, mean, variance], { epsilon, relu: 0 })];
    const [y, batchMean, batchVariance] = net.g.addMany('BatchNorm', [x, scale, bias], { epsilon }, 4);
    const momentum = float('momentum', 0.9);
    this.#setStatistic(node, 3, batchMean!, momentum);
    this.#setStatistic(node, 4, unbiased(net.g, batchVariance!, x), momentum);
    return [y!];
  }

  /** What becomes of the stored tensor that a running statistic is read from. @throws GraphError where it is computed, or not stored */
  #setStatistic(node: Node, input: number, now: Value, momentum: number): void {
    const { g, statistics } = this.net;
    const parameter = this.#storedAs(node.inputs[input]!);
    if (!parameter || sizeOf(parameter.shape) !== sizeOf(now.shape as number[]))
      throw new GraphError(
        `the running ${input === 3 ? 'mean' : 'variance'} of "${node.name || node.outputs[0]}" is no tensor that is stored in the file, and cannot be trained with it: freeze the layer, or export the model again`,
      );
    const isAsStored = parameter.shape.join() === now.shape.join();
    statistics.set(parameter.name, {
      now: isAsStored ? now : g.reshape(now, [...parameter.shape]),
      momentum,
    });
  }

  /** The parameter that a value is, in another form at most. */
  #storedAs(name: string): ImportedParameter | undefined {
    const known = this.#parameters.get(name);
    const maker = known ? undefined : this.network.graph.nodes.find(({ outputs }) => outputs[0] === name);
    if (!maker || !SAME_VALUES.has(maker.operator)) return known;
    return this.#storedAs(maker.inputs[0]!);
  }

  #dropout(node: Node, x: Value): readonly Value[] {
    const { g, purpose } = this.net;
    const ratio = ratioOf(node, this.network.graph.initializers);
    if (!(ratio >= 0 && ratio < 1)) throw new GraphError(`Dropout cannot have the ratio ${ratio}`);
    if (purpose !== 'training' || ratio === 0) return [x, g.mask(x.shape as number[], () => true)];
    return dropout(g, x, this.#seedInput(), this.#drawn++, ratio);
  }

  #seedInput(): Value {
    this.#seed ??= this.net.g.input(DROPOUT_SEED, 'int64', []);
    return this.#seed;
  }

  /** Numbers that are drawn anew in every training step, and their mean in evaluation. */
  #noise({ operator, attributes, outputs }: Node): Value {
    const { g, purpose } = this.net;
    if (purpose !== 'training') return g.scalar(this.#means.get(outputs[0]!)!);
    const number = (name: string) => (attributes[name] as Attribute & { kind: 'float' }).value;
    const shape = (attributes.shape as Attribute & { kind: 'ints' }).value;
    const seed = this.#seedInput();
    const layer = this.#drawn;
    this.#drawn += operator === 'RandomNormal' ? 2 : 1;
    switch (operator) {
      case 'Bernoulli': {
        const ones = dropoutMask(g, seed, layer, shape, 1 - number('probability'));
        return g.add('Cast', [ones], { to: TYPE_CODES[g.float] });
      }
      case 'RandomNormal':
        return normalNumbers(g, seed, layer, shape, { mean: number('mean'), scale: number('scale') });
      default:
        return uniformNumbers(g, seed, layer, shape, { low: number('low'), high: number('high') });
    }
  }
}

/** The inputs of a network in a graph that is built, by their names in the file. @param nameOf what they are called there */
export const networkInputs = (
  g: GraphBuilder,
  inputs: readonly Value[],
  nameOf: (name: string) => string = (name) => name,
): Record<string, Value> =>
  Object.fromEntries(
    inputs.map(({ name, type, shape }) => [
      name,
      g.input(nameOf(name), isFloat(type) ? g.float : type, shape),
    ]),
  );

/** Keeps the names of the parameters for them: nothing that is added before the layers is called so. */
export const reserveParameters = ({ g }: NetworkBuilder, { parameters }: ImportedNetwork): void =>
  g.reserve(parameters.map(({ name }) => name));

/**
 * Adds an imported network to a graph: what of it the wanted values need.
 * @param inputs of the network, by name, of the sizes and types that it was imported for
 * @param wanted outputs of the network, or any values inside it, by the names that they have in the file
 * @returns them by their names, in the order that was asked for
 */
export function importedLayers(
  net: NetworkBuilder,
  network: ImportedNetwork,
  inputs: Readonly<Record<string, Value>>,
  wanted: readonly string[] = network.graph.outputs.map(({ name }) => name),
): Map<string, Value> {
  reserveParameters(net, network);
  const layers = new Layers(net, network, inputs);
  const { graph } = network;
  const outputs = wanted.map((name) => ({ name, type: net.g.float, shape: [] }));
  const nodes = needed({ ...graph, outputs });
  // A weight may be an output itself.
  const names = new Map(network.parameters.map(({ name, storedName }) => [storedName, name]));
  const inTraining = (name: string) => names.get(name) ?? name;
  const read = new Set([...nodes.flatMap((node) => node.inputs), ...wanted.map(inTraining)]);
  for (const parameter of network.parameters) if (read.has(parameter.name)) layers.declare(parameter);
  for (const node of nodes) layers.add(node);
  return new Map(wanted.map((name) => [name, layers.value(inTraining(name))]));
}
