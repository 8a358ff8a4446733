import { resolveConfig } from '../../config/pretraining.js';
import { nodeRunner, torchRunners, type Workload, type WorkloadOptions } from './workload.js';

/** One training step on random tiles. */
export function stepWorkload({
  preset,
  batch,
  threads,
  device,
  python,
}: WorkloadOptions): Workload<'torch' | 'onnxruntime-plain'> {
  const { network, whole } = resolveConfig({ preset });
  const job = { preset, batch, threads, device };
  const { width, levels } = network;
  const shared = { batch, device, width, levels, size: whole.toReversed() };
  return {
    title: `training step, ${preset}, batch ${batch}${device === 'cpu' ? '' : `, ${device}`}`,
    own: nodeRunner('parts2whole', 'step', { ...job, forms: 'fast' }),
    baselines: {
      torch: torchRunners('torch', { python, threads }, 'torch_step', shared),
      'onnxruntime-plain': [nodeRunner('onnxruntime-plain', 'step', { ...job, forms: 'plain' })],
    },
  };
}
