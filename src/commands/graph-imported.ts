import { summarize } from '../../graphs/onnx/summary.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { evaluationGraph } from '../../graphs/programs/evaluation.js';
import { gradientGraph, stepGraph } from '../../graphs/programs/training.js';
import { TRAINING_DEFAULTS } from '../config/training.js';
import { built, countForms, encodeGraph, loweringFor, portable } from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import type { GraphReport } from './graph.js';
import { checkGraphFile, writeGraphFile } from './graph-file.js';
import { type ModelObjectiveOptions, openModelObjective } from './model-objective.js';

export interface ModelGraphOptions extends ModelObjectiveOptions {
  /** A step of Adam, the loss with the gradients, or the evaluation. */
  readonly what: 'step' | 'gradient' | 'eval';
  /** Where the `.onnx` file goes; nothing is written without it. */
  readonly out?: string;
}

/**
 * Builds a graph that trains an ONNX model, or tells its gradients; writes it as an ONNX model where asked to. Its weights are inputs
 * whose values may be left out: they are then those of the model.
 * @throws UserError when the model cannot be trained, or the loss does not suit its output
 * @example
 * await makeModelGraph({ model: 'resnet.onnx', what: 'gradient', loss: 'crossEntropy', out: 'gradient.onnx' });
 */
export async function makeModelGraph(options: ModelGraphOptions): Promise<GraphReport> {
  await checkGraphFile(options.out, options.model);
  const { objective } = openModelObjective(options);
  const { optimizer, clipNorm, device, engine: engineName } = TRAINING_DEFAULTS;
  const build = {
    step: () => stepGraph(objective, { optimizer, clipNorm }),
    gradient: () => gradientGraph(objective),
    eval: () => evaluationGraph(objective),
  };
  const result = built(options.what, build[options.what]);
  const { graph, parameters } = result;
  const config = { forms: 'fast' } as const;
  const bytes = encodeGraph(result, portable(config), parameters);
  writeGraphFile(options.out, bytes);
  const engine = await openEngine(device, engineName);
  return {
    what: options.what,
    subject: options.model,
    config: null,
    parameters: parameters.filter((p) => p.trainable).reduce((sum, p) => sum + sizeOf(p.shape), 0),
    inputs: graph.inputs,
    outputs: graph.outputs,
    summary: summarize(graph),
    bytes: bytes.length,
    forms: countForms(graph, await loweringFor(config, engine)),
    formsBy: 'preference',
  };
}
