/** Which MPI library there is, looked for in a process of its own. */
import { execFile } from 'node:child_process';
import { programArguments } from '../program.js';

/** The MPI library that `--distributed mpi` would take, or why there is none. */
export interface MpiFinding {
  readonly library: string | null;
  readonly problem: string | null;
}

const PATIENCE_MS = 30_000;

/**
 * Looks for an MPI library. Loading one runs code of its network drivers, which wait for hardware, take over signals, and in
 * UCX's case were seen to keep a process that had loaded other libraries before from ending; so it is done elsewhere.
 * @param program Node.js' arguments of what prints an {@link MpiFinding} as a line of JSON
 */
export function findMpi(
  program: readonly string[] = programArguments(import.meta.url, './find-mpi'),
  patienceMs = PATIENCE_MS,
): Promise<MpiFinding> {
  return new Promise((resolve) => {
    const options = { timeout: patienceMs, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, program, options, (error, stdout) => {
      const [line] = stdout.split('\n');
      if (line) resolve(JSON.parse(line) as MpiFinding);
      else {
        const how = error?.killed
          ? `has not ended after ${patienceMs / 1000} s`
          : `ended by ${error?.signal ?? `code ${error?.code}`}`;
        resolve({ library: null, problem: `a process that loads the MPI library ${how}` });
      }
    });
  });
}
