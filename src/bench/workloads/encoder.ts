import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encoderGraph } from '../../../graphs/programs/inference.js';
import { type Config, resolveConfig } from '../../config/pretraining.js';
import { buildGraph, portableModel } from '../../execution/models.js';
import { proxyWorkload } from '../../train/proxy.js';
import { initialize } from '../../weights/initialize.js';
import {
  nodeRunner,
  pythonRunner,
  threadCounts,
  torchRunners,
  type Workload,
  type WorkloadOptions,
} from './workload.js';

/** What the runners of this package and of OpenVINO are told. */
export interface EncoderJob {
  /** An exported encoder. */
  readonly model: string;
  readonly batch: number;
  /** Depth, height, width. */
  readonly size: readonly number[];
  readonly threads: number;
}

/** An untrained encoder as `p2w export` writes it. */
export function exportedEncoder(config: Config): Uint8Array {
  const { parameters } = buildGraph('evaluation', proxyWorkload(config, config.whole), config);
  const options = { network: config.network, window: config.window, inputType: 'float32' } as const;
  const graph = encoderGraph(options, initialize(parameters, config.seed));
  return portableModel(graph);
}

/** Features of random images by an exported encoder. */
export function encoderWorkload({
  preset,
  batch,
  threads,
  python,
  folder,
}: WorkloadOptions): Workload<'torch' | 'openvino' | 'onnxruntime-plain'> {
  const config = resolveConfig({ preset });
  const model = join(folder, 'encoder.onnx');
  writeFileSync(model, exportedEncoder(config));
  const job: EncoderJob = { model, batch, size: config.whole.toReversed(), threads };
  const { width, levels } = config.network;
  // A batch at once, or its images side by side.
  const streams = [1, ...(batch > 1 ? threadCounts(threads).filter((count) => count > 1) : [])];
  return {
    title: `encoder, ${preset}, batch ${batch}`,
    own: nodeRunner('parts2whole', 'encoder', { ...job, plain: false }),
    baselines: {
      torch: torchRunners('torch', { python, threads }, 'torch_encoder', { ...job, width, levels }),
      openvino: streams.map((count) =>
        pythonRunner('openvino', python, 'openvino_encoder', { ...job, streams: count }),
      ),
      'onnxruntime-plain': [nodeRunner('onnxruntime-plain', 'encoder', { ...job, plain: true })],
    },
  };
}
