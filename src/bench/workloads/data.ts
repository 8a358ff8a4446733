import { resolveConfig } from '../../config/pretraining.js';
import { nodeRunner, pythonRunner, torchRunner, type Workload, type WorkloadOptions } from './workload.js';

/** Parts that are cut in one round. */
const PARTS = 10;

/** Cutting random parts out of a whole of int16 HU, and enlarging them to its size: always on one thread. */
export function dataWorkload({ preset, python }: WorkloadOptions): Workload<'torch' | 'scipy' | 'monai'> {
  const { whole } = resolveConfig({ preset });
  const job = { parts: PARTS, threads: 1 };
  const baseline = (library: string, runner = torchRunner) => [
    runner(library, python, 'cut_parts', { ...job, library, size: whole.toReversed() }),
  ];
  return {
    title: `${PARTS} parts cut and enlarged to ${whole.join('×')}, 1 thread`,
    own: nodeRunner('parts2whole', 'data', { ...job, preset }),
    baselines: { torch: baseline('torch'), scipy: baseline('scipy', pythonRunner), monai: baseline('monai') },
  };
}
