/** A program: prints which MPI library can be loaded, and ends without the library's farewell. */
import { writeSync } from 'node:fs';
import { UserError } from '../errors.js';
import type { MpiFinding } from './mpi-finding.js';
import { loadMpi } from './mpi-library.js';

async function find(): Promise<MpiFinding> {
  try {
    const { version, path } = await loadMpi();
    return { library: `${version}, ${path}`, problem: null };
  } catch (error) {
    if (error instanceof UserError) return { library: null, problem: error.facts.what };
    throw error;
  }
}

writeSync(1, `${JSON.stringify(await find())}\n`);
process.kill(process.pid, 'SIGKILL');
