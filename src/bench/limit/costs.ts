/** What a job asks of a machine, by its graph. */
import { summarize } from '../../../graphs/onnx/summary.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { bindSizes } from '../../../graphs/passes/bind-sizes.js';
import { encoderGraph } from '../../../graphs/programs/inference.js';
import type { Config } from '../../config/pretraining.js';
import { blockedLayout } from '../../execution/blocked-layout.js';
import { splitForInference } from '../../execution/inference-session.js';
import { buildGraph, loweredFor } from '../../execution/models.js';
import { nodeEngine } from '../../runtime/node.js';
import { proxyWorkload } from '../../train/proxy.js';
import { initialize } from '../../weights/initialize.js';

export interface Cost {
  /** Multiplications and additions that are left after algebra: those of the lowered graph. */
  readonly flops: number;
  /** All values of the graph as it is meant, each written once and read once. */
  readonly bytes: number;
}

/** Of a training step. */
export async function stepCost(config: Config): Promise<Cost> {
  const { graph } = buildGraph('step', proxyWorkload(config, config.whole), config);
  const lowered = await loweredFor(graph, config, nodeEngine);
  return { flops: summarize(lowered).flops, bytes: 2 * summarize(graph).activationBytes };
}

/** Of a run of the exported encoder. */
export async function encoderCost(config: Config): Promise<Cost> {
  const { network, window, batch, whole, seed } = config;
  const { parameters } = buildGraph('evaluation', proxyWorkload(config, whole), config);
  const graph = encoderGraph({ network, window, inputType: 'float32' }, initialize(parameters, seed));
  const shapes = { hu: [batch, ...whole.toReversed()] };
  const meant = bindSizes(graph, shapes);
  const blocked = await blockedLayout(nodeEngine);
  return {
    flops: summarize(blocked ? splitForInference(meant, sizeOf(shapes.hu), blocked).rest : meant).flops,
    bytes: 2 * summarize(meant).activationBytes,
  };
}
