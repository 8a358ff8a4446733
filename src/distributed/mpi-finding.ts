/** Which MPI library there is, looked for in a process of its own. */
import { execFile } from 'node:child_process';
import * as z from 'zod';
import { programArguments } from '../program.js';

const findingSchema = z.object({ library: z.string().nullable(), problem: z.string().nullable() }).readonly();
/** The MPI library that `--distributed mpi` would take, or why there is none. */
export type MpiFinding = z.infer<typeof findingSchema>;

const PATIENCE_MS = 30_000;
const QUOTED_LENGTH = 200;

/** A finding that stands in a line; undefined for what libraries print. */
function findingIn(line: string): MpiFinding | undefined {
  try {
    return findingSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** What a process has found; undefined where it has not said. @param output of libraries too, which may print before and after */
const findingOf = (output: string): MpiFinding | undefined =>
  output
    .split('\n')
    .toReversed()
    .flatMap((line) => findingIn(line) ?? [])[0];

/** What a process has printed, for people. */
const quoted = (output: string): string =>
  output.trim() === '' ? '' : `, and has printed: ${output.trim().slice(0, QUOTED_LENGTH)}`;

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
      const how = error?.killed
        ? `has not ended after ${patienceMs / 1000} s`
        : `ended by ${error?.signal ?? `code ${error?.code ?? 0}`}`;
      const problem = `a process that loads the MPI library ${how}${quoted(stdout)}`;
      resolve(findingOf(stdout) ?? { library: null, problem });
    });
  });
}
