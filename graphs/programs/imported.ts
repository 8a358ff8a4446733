/** Imported networks in inference, with trained values. */
import type { ImportedModel } from '../imported/import-model.js';
import { floatType, importedLayers, networkInputs } from '../imported/network.js';
import { NetworkBuilder } from '../nn/module.js';
import { featuresOf, type TargetHead, targetHead } from '../objectives/imported-target.js';
import { asFloat } from '../onnx/blocks.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { Graph, Value } from '../onnx/types.js';
import { targetProbabilities } from './inference.js';

type Weights = ReadonlyMap<string, Float32Array>;

/** Adds what of the network a value needs. */
const wantedValue = (net: NetworkBuilder, model: ImportedModel, name: string): Value =>
  importedLayers(net, model, networkInputs(net.g, model.inputs), [name]).get(name)!;

/**
 * The network as it was trained, for inputs of the sizes that it was imported for: its own output of the classes, or, where layers
 * were put on it, `probabilities`.
 * @param weights of all parameters
 */
export function trainedGraph(model: ImportedModel, weights: Weights, head: TargetHead): Graph {
  const g = new GraphBuilder('trained');
  const net = new NetworkBuilder(g, weights);
  if (head.head === 'keep') {
    g.output('output', wantedValue(net, model, head.value ?? model.outputs[0]!.name));
    return g.build();
  }
  const logits = targetHead(net, wantedValue(net, model, featuresOf(model, head)), head);
  g.output('probabilities', targetProbabilities(g, head.kind, logits));
  return g.build();
}

/** The input of {@link headGraph}. */
export const HEAD_INPUT = 'features';

/**
 * New layers of a task alone, for features of any size: `features` → `probabilities`. Of operators that are the same in all versions
 * of the standard from 7 on.
 * @param weights of these layers
 */
export function headGraph(model: ImportedModel, weights: Weights, head: TargetHead): Graph {
  const name = featuresOf(model, head);
  const trial = new NetworkBuilder(new GraphBuilder('features'), 'evaluation');
  const [, channels, ...sizes] = wantedValue(trial, model, name).shape;
  const g = new GraphBuilder('head');
  const net = new NetworkBuilder(g, weights);
  const shape = ['N', channels!, ...sizes.map((_, i) => ['D', 'H', 'W'][i + 3 - sizes.length] ?? `L${i}`)];
  const features = g.input(HEAD_INPUT, floatType(model), shape);
  const logits = targetHead(net, asFloat(g, features), head);
  g.output('probabilities', targetProbabilities(g, head.kind, logits));
  return g.build();
}
