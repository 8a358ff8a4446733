/** The runner that is `p2w prepare`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { prepare } from '../../commands/prepare.js';
import { serveRounds } from '../runner-loop.js';
import type { PrepareJob } from './prepare.js';

const { scans, size, threads, folder } = JSON.parse(process.argv[2]!) as PrepareJob;

async function run(): Promise<void> {
  const out = mkdtempSync(join(folder, 'tiles-'));
  try {
    const { failures } = await prepare({ input: [...scans], out, size, workers: threads });
    if (failures.length > 0) throw new Error(failures[0]!.message);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

await serveRounds(run, `Node.js ${process.version}, with SHA-256 of every tile`, threads);
