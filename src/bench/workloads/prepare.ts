import { join } from 'node:path';
import { writePhantoms } from '../../commands/phantom.js';
import { findScans } from '../../data/scan/index.js';
import type { XYZ } from '../../data/scan/volume.js';
import { nodeRunner, pythonRunner, threadCounts, type Workload, type WorkloadOptions } from './workload.js';

/** Voxels of a tile. */
const SIZE: XYZ = [128, 128, 64];
/** Phantoms that are made where no scans are given. */
const PHANTOMS = { scans: 4, size: [256, 256, 128] as XYZ, seed: 1 };

/** What the runners are told. */
export interface PrepareJob {
  readonly scans: readonly string[];
  readonly size: XYZ;
  /** That tile a scan each. */
  readonly threads: number;
  /** For the tiles. */
  readonly folder: string;
}

/** Scans cut into tiles: the user's, or phantoms, half of them .nii.gz and half .mhd. */
export async function prepareWorkload({
  input,
  threads,
  python,
  folder,
}: WorkloadOptions): Promise<Workload<'nibabel' | 'simpleitk'>> {
  if (input.length === 0) {
    for (const format of ['nii.gz', 'mhd'] as const)
      await writePhantoms({ ...PHANTOMS, out: join(folder, format), format });
  }
  const given = input.length > 0 ? input : ['nii.gz', 'mhd'].map((format) => join(folder, format, 'scans'));
  const scans = await findScans([...given]);
  const job: PrepareJob = { scans, size: SIZE, threads, folder };
  // Scan by scan in as many processes as we have threads, or one scan after the other.
  const baseline = (library: string) =>
    threadCounts(threads).map((processes) =>
      pythonRunner(library, python, 'prepare_scans', { ...job, library, processes }),
    );
  return {
    title: `${scans.length} scans cut into tiles of ${SIZE.join('×')}`,
    own: nodeRunner('parts2whole', 'prepare', job),
    baselines: { nibabel: baseline('nibabel'), simpleitk: baseline('simpleitk') },
  };
}
