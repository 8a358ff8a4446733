import { resolveConfig } from '../../config.js';
import { nodeEntry, pythonEntry, torchConfigurations, type Work, type WorkOptions } from './entry.js';

/** One training step on random tiles. */
export function stepWork({ preset, batch, threads, python }: WorkOptions): Work {
  const { network, whole } = resolveConfig({ preset });
  const job = { preset, batch, threads };
  const shape = { batch, width: network.width, levels: network.levels, size: whole.toReversed() };
  return {
    title: `training step, ${preset}, batch ${batch}`,
    own: nodeEntry('parts2whole', 'step', { ...job, forms: 'fast' }),
    peers: {
      torch: torchConfigurations(threads).map((configuration) =>
        pythonEntry('torch', python, 'torch_step', { ...shape, ...configuration }),
      ),
      'onnxruntime-plain': [nodeEntry('onnxruntime-plain', 'step', { ...job, forms: 'plain' })],
    },
  };
}
