/** The training that all engines make. */
import { availableParallelism } from 'node:os';
import type { Parameter } from '../../../graphs/nn/module.js';
import { encodeCheckpoint } from '../../../graphs/ort-training/checkpoint.js';
import {
  onDeviceEvaluationGraph,
  onDeviceOptimizerGraph,
  onDeviceTrainingGraph,
} from '../../../graphs/ort-training/models.js';
import { floatInputs } from '../../../graphs/passes/float-inputs.js';
import { optimizerFor } from '../../commands/artifacts.js';
import { type PresetName, resolveConfig } from '../../config/pretraining.js';
import { fromSettings } from '../../config/settings.js';
import { buildGraph, encodeGraph, portable } from '../../execution/models.js';
import { makePhantom } from '../../phantom/chest.js';
import type { EngineTensor } from '../../runtime/engine.js';
import { mapTensors } from '../../runtime/ort.js';
import { freshState } from '../../train/fresh-state.js';
import { batchFeeds, proxyWorkload } from '../../train/proxy.js';
import { initialize } from '../../weights/initialize.js';
import { randomBatch } from '../workloads/random-batch.js';
import type { TrainingWorkload } from './curves.js';

const SCAN = [192, 192, 96] as const;
/**
 * Training is chaotic: what differs in the last digit of one step grows with every further one, in jumps, where a maximum or
 * a ReLU decides otherwise; the deeper the network and the larger the rate, the faster. This network learns in 50 steps (its
 * loss falls to two fifths), and engines that only round differently stay within 3e-5 of each other (three seeds).
 */
export const GENTLE = ['network.width=4', 'network.levels=1', 'whole=16x16x8', 'learningRate=3e-4'];

const asFloat = ({ shape, data }: EngineTensor): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(data as Int16Array),
});

export interface WorkloadOptions {
  readonly preset?: PresetName;
  readonly batch: number;
  readonly steps: number;
  /** 0 is one a core. The training build has one. */
  readonly threads: number;
}

/** Graph, state and batches; all engines get the same bytes, of standard operators. */
export function makeWorkload(
  settings: readonly string[],
  { preset, batch, steps, threads }: WorkloadOptions,
): TrainingWorkload {
  const config = resolveConfig({
    preset,
    config: fromSettings(settings, { batch, microBatch: null, forms: 'fast' }),
  });
  // Of a body, not of noise, whose parts are all alike: there rounding grows from step to step.
  const { volume: scan } = makePhantom({ seed: config.seed, index: 0, size: SCAN });
  const proxy = proxyWorkload(config, config.whole);
  const step = buildGraph('step', proxy, config);
  const objective = proxy(batch);
  const training = onDeviceTrainingGraph(objective);
  const values = initialize(step.parameters, config.seed);
  const tensors = (of: (p: Parameter) => boolean) =>
    training.parameters.filter(of).map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
  const schedule = { learningRate: config.learningRate, warmup: 0, decayTo: null };
  const encode = (graph: typeof step.graph) =>
    encodeGraph({ graph: floatInputs(graph), parameters: [] }, portable(config));
  return {
    step: encode(step.graph),
    artifacts: {
      training: encode(training.graph),
      evaluation: encode(onDeviceEvaluationGraph(objective).graph),
      optimizer: encode(
        onDeviceOptimizerGraph({ optimizer: optimizerFor(config), clipNorm: config.clipNorm, schedule }),
      ),
      checkpoint: encodeCheckpoint({
        trainable: tensors((p) => p.trainable),
        frozen: tensors((p) => !p.trainable),
        optimizer: null,
      }),
    },
    state: Object.fromEntries(freshState(step.parameters, config, values)),
    batches: Array.from({ length: steps }, (_, i) =>
      mapTensors(batchFeeds(randomBatch(config, i, scan)), asFloat),
    ),
    learningRate: config.learningRate,
    // In a page, none are not as many as there are cores.
    threads: threads || availableParallelism(),
  };
}
