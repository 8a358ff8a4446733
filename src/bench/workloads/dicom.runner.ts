/** The runner that reads DICOM by this package. */
import { readVolume } from '../../data/scan/index.js';
import { serveRounds } from '../runner-loop.js';
import { type DicomJob, findSeries } from './dicom.js';

const { folders, threads } = JSON.parse(process.argv[2]!) as DicomJob;

async function read(): Promise<void> {
  for (const path of await findSeries(folders)) await readVolume(path);
}

await serveRounds(read, `Node.js ${process.version}, finding the series included`, threads);
