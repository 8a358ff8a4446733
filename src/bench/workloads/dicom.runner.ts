/** The runner that reads DICOM by this package. */
import { findScans, readVolume } from '../../data/scan/index.js';
import { serveRounds } from '../runner-loop.js';

const { folders, threads } = JSON.parse(process.argv[2]!) as { folders: string[]; threads: number };

async function read(): Promise<void> {
  for (const path of await findScans(folders)) await readVolume(path);
}

await serveRounds(read, `Node.js ${process.version}, finding the series included`, threads);
