import { dirname } from 'node:path';
import { DECODERS } from '../../data/scan/dicom/frame-reader.js';
import { parseScanPath } from '../../data/scan/dicom/scan-path.js';
import { findScans, scanFiles } from '../../data/scan/index.js';
import { UserError } from '../../errors.js';
import { nodeRunner, pythonRunner, type Workload, type WorkloadOptions } from './workload.js';

/** What the runners are told. */
export interface DicomJob {
  /** Each with files of series, which are not looked for further below. */
  readonly folders: readonly string[];
  readonly threads: number;
}

/** The DICOM series among the scans in folders. @throws UserError as {@link findScans} */
export const findSeries = async (folders: readonly string[]): Promise<string[]> =>
  (await findScans([...folders])).filter((path) => parseScanPath(path) !== null);

/** The folders with the files of series. */
async function foldersOf(series: readonly string[]): Promise<string[]> {
  const files = await Promise.all(series.map(scanFiles));
  return [...new Set(files.flat().map((path) => dirname(path)))];
}

/** Folders of DICOM series as volumes in memory, by as many threads as decode frames here. */
export async function dicomWorkload({ input, python }: WorkloadOptions): Promise<Workload<'simpleitk'>> {
  const series = input.length > 0 ? await findSeries(input) : [];
  if (series.length === 0)
    throw new UserError('usage', {
      what: 'there are no DICOM series to read',
      where: '--input',
      ...(input.length > 0 && { got: input.join(', ') }),
      fix: 'give folders with DICOM series in them',
    });
  const job: DicomJob = { folders: await foldersOf(series), threads: DECODERS };
  return {
    title: `${series.length} DICOM series read`,
    own: nodeRunner('parts2whole', 'dicom', job),
    baselines: { simpleitk: [pythonRunner('simpleitk', python, 'read_dicom', job)] },
  };
}
