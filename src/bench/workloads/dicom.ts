import { findScans } from '../../data/scan/index.js';
import { UserError } from '../../errors.js';
import { nodeRunner, pythonRunner, type Workload, type WorkloadOptions } from './workload.js';

/** The user's DICOM series read into volumes, from looking for their slices to the last voxel. */
export async function dicomWorkload({
  input,
  threads,
  python,
}: WorkloadOptions): Promise<Workload<'simpleitk'>> {
  if (input.length === 0)
    throw new UserError('usage', {
      what: 'there are no DICOM phantoms',
      where: '--input',
      expected: 'folders with one DICOM series each',
    });
  await findScans([...input]); // says what is wrong with them before anything is timed
  const job = { folders: input, threads };
  return {
    title: `${input.length} DICOM series read`,
    own: nodeRunner('parts2whole', 'dicom', job),
    baselines: { simpleitk: [pythonRunner('simpleitk', python, 'read_dicom', job)] },
  };
}
