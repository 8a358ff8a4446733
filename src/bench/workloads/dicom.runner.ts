/** The runner that reads DICOM series. */
import { findScans, readVolume } from '../../data/scan/index.js';
import { serveRounds } from '../runner-loop.js';

const { folders, threads } = JSON.parse(process.argv[2]!) as { folders: string[]; threads: number };

async function run(): Promise<void> {
  for (const folder of folders) for (const scan of await findScans([folder])) await readVolume(scan);
}

await serveRounds(run, `Node.js ${process.version}, one thread`, threads);
