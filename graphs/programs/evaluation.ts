import { encoder, features } from '../models/unet3d.js';
import { NetworkBuilder } from '../nn/module.js';
import type { Objective } from '../objectives/objective.js';
import type { ProxyOptions } from '../objectives/reconstruction.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { FloatType } from '../onnx/types.js';
import { parts2whole } from '../proxies/parts2whole.js';
import type { BuiltGraph } from './built.js';

/** What the network says of a batch, without training it: the outputs of the objective. */
export function evaluationGraph(objective: Objective, float?: FloatType): BuiltGraph {
  const g = new GraphBuilder('evaluation', { float });
  const net = new NetworkBuilder(g, 'evaluation');
  for (const [name, value] of Object.entries(objective(net).outputs())) g.output(name, value);
  return { graph: g.build(), parameters: net.parameters };
}

/** The encoder half of the proxy task: parts in, `features` [N,C] out. */
export function featureGraph(options: ProxyOptions): BuiltGraph {
  const g = new GraphBuilder('features');
  const net = new NetworkBuilder(g, 'evaluation');
  const { part } = parts2whole(g, options);
  g.output('features', features(net, encoder(net, part, options.network)));
  return { graph: g.build(), parameters: net.parameters };
}
