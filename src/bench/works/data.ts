import { resolveConfig } from '../../config/pretraining.js';
import { nodeEntry, pythonEntry, type Work, type WorkOptions } from './entry.js';

/** Parts that are cut in one round. */
const PARTS = 10;

/** Cutting random parts out of a whole of int16 HU, and enlarging them to its size: always on one thread. */
export function dataWork({ preset, python }: WorkOptions): Work {
  const { whole } = resolveConfig({ preset });
  const job = { parts: PARTS, threads: 1 };
  const peer = (library: string) => [
    pythonEntry(library, python, 'cut_parts', { ...job, library, size: whole.toReversed() }),
  ];
  return {
    title: `${PARTS} parts cut and enlarged to ${whole.join('×')}, 1 thread`,
    own: nodeEntry('parts2whole', 'data', { ...job, preset }),
    peers: { torch: peer('torch'), scipy: peer('scipy'), monai: peer('monai') },
  };
}
