import { findScans } from '../../data/scan/index.js';
import { UserError } from '../../errors.js';
import { nodeRunner, pythonRunner, type Workload, type WorkloadOptions } from './workload.js';

/** Folders of DICOM series as volumes in memory. */
export async function dicomWorkload({
  input,
  threads,
  python,
}: WorkloadOptions): Promise<Workload<'simpleitk'>> {
  if (input.length === 0)
    throw new UserError('usage', {
      what: 'there are no DICOM series to read',
      where: '--input',
      fix: 'give folders with one series each',
    });
  const scans = await findScans([...input]);
  return {
    title: `${scans.length} DICOM series read`,
    own: nodeRunner('parts2whole', 'dicom', { folders: input, threads }),
    baselines: { simpleitk: [pythonRunner('simpleitk', python, 'read_dicom', { folders: input, threads })] },
  };
}
