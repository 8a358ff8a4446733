import { NetworkBuilder } from '../nn/module.js';
import type { Objective } from '../objectives/objective.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { FloatType } from '../onnx/types.js';
import type { BuiltGraph } from './built.js';

/** What the network says of a batch, without training it: the outputs of the objective. */
export function evaluationGraph(objective: Objective, float?: FloatType): BuiltGraph {
  const g = new GraphBuilder('evaluation', { float });
  const net = new NetworkBuilder(g, 'evaluation');
  for (const [name, value] of Object.entries(objective(net).outputs())) g.output(name, value);
  return { graph: g.build(), parameters: net.parameters };
}
