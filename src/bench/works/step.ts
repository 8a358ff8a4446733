import { resolveConfig } from '../../config/pretraining.js';
import { nodeEntry, pythonEntry, torchConfigurations, type Work, type WorkOptions } from './entry.js';

/** One training step on random tiles. */
export function stepWork({ preset, batch, threads, device, python }: WorkOptions): Work {
  const { network, whole } = resolveConfig({ preset });
  const job = { preset, batch, threads, device };
  const { width, levels } = network;
  const shared = { batch, device, width, levels, size: whole.toReversed() };
  return {
    title: `training step, ${preset}, batch ${batch}${device === 'cpu' ? '' : `, ${device}`}`,
    own: nodeEntry('parts2whole', 'step', { ...job, forms: 'fast' }),
    peers: {
      torch: torchConfigurations(threads).map((configuration) =>
        pythonEntry('torch', python, 'torch_step', { ...shared, ...configuration }),
      ),
      'onnxruntime-plain': [nodeEntry('onnxruntime-plain', 'step', { ...job, forms: 'plain' })],
    },
  };
}
