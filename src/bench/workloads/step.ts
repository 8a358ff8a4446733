import { join } from 'node:path';
import { writePhantoms } from '../../commands/phantom.js';
import { prepare } from '../../commands/prepare.js';
import type { TaskKind } from '../../config/finetuning.js';
import { resolveConfig } from '../../config/pretraining.js';
import { shuffledBlocks } from '../../data/proxies/genesis/shuffle.js';
import type { XYZ } from '../../data/scan/volume.js';
import { openTileStore } from '../../data/store/tiles.js';
import { proxyConfig, type StepJob, targetConfig } from './training.js';
import { nodeRunner, torchRunners, type Workload, type WorkloadOptions } from './workload.js';

/** Phantoms of a store, of two tiles along each axis. */
const SCANS = 3;

/** A store of tiles of phantoms, and the arrays of those to train on. */
async function phantomTiles(folder: string, size: XYZ): Promise<{ store: string; shards: string[] }> {
  const [scans, store] = [join(folder, 'scans'), join(folder, 'tiles')];
  const length = size.map((n) => 2 * n) as unknown as XYZ;
  await writePhantoms({ out: scans, scans: SCANS, size: length, seed: 1, format: 'mhd' });
  await prepare({ input: [scans], out: store, size });
  const shards = openTileStore(store).train.map(({ scan }) => join(store, scan.shard));
  return { store, shards: [...new Set(shards)] };
}

/** The title of a training. */
function titleOf({ preset, batch, device, settings }: WorkloadOptions, task: TaskKind | null): string {
  const changed = settings.length > 0 ? `, ${settings.join(' ')}` : '';
  return `training step, ${task ?? 'pre-training'}, ${preset}${changed}, batch ${batch}${device === 'cpu' ? '' : `, ${device}`}`;
}

/** One training step, on one batch in memory; for Models Genesis on new batches, which are made meanwhile. */
export async function stepWorkload(
  options: WorkloadOptions,
): Promise<Workload<'torch' | 'monai' | 'onnxruntime-plain'>> {
  const { preset, batch, threads, device, python, settings, task = null, folder } = options;
  const asked = { preset, settings, task, batch, threads, device };
  const proxy = task === null ? proxyConfig({ ...asked, forms: 'fast' }) : null;
  const target = task === null ? null : targetConfig({ ...asked, forms: 'fast' }, task);
  const { network } = (proxy ?? target)!;
  const { whole, window } = proxy ?? resolveConfig({ preset });
  const tiles = proxy?.proxy === 'genesis' ? await phantomTiles(folder, whole) : null;
  const own = (forms: StepJob['forms']): StepJob => ({ ...asked, forms, store: tiles?.store ?? null });
  const job = {
    ...{ batch, device, size: whole.toReversed(), task: task ?? 'restoration' },
    ...{ width: network.width, levels: network.levels, skip: network.skip, upsampling: network.upsampling },
    hidden: target?.hidden ?? null,
    ...{ shards: tiles?.shards ?? null, window: [window.low, window.high], blocks: shuffledBlocks(whole) },
  };
  return {
    title: titleOf(options, task),
    own: nodeRunner('parts2whole', 'step', own('fast')),
    baselines: {
      torch: torchRunners('torch', { python, threads }, 'torch_step', { ...job, library: 'torch' }),
      monai: torchRunners('monai', { python, threads }, 'torch_step', { ...job, library: 'monai' }),
      'onnxruntime-plain': [nodeRunner('onnxruntime-plain', 'step', own('plain'))],
    },
  };
}
