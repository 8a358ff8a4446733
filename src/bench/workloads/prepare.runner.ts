/** The runner that is `p2w prepare`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare } from '../../commands/prepare.js';
import type { XYZ } from '../../data/scan/volume.js';
import { serveRounds } from '../runner-loop.js';

const { scans, size, threads } = JSON.parse(process.argv[2]!) as {
  scans: string[];
  size: XYZ;
  threads: number;
};

async function run(): Promise<void> {
  const out = mkdtempSync(join(tmpdir(), 'p2w-tiles-'));
  try {
    const { failures } = await prepare({ input: scans, out, size, workers: threads + 1 });
    if (failures.length > 0) throw new Error(failures[0]!.message);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

await serveRounds(run, `Node.js ${process.version}, with SHA-256 of every tile`, threads);
