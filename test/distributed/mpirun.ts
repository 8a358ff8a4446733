import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { type Finished, P2W } from '../commands/cli.js';

/** A launcher of MPI processes, and the library that belongs to it. */
export interface Launcher {
  readonly path: string;
  readonly isOpenMpi: boolean;
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** One launcher of each MPI: those in the folders of P2W_TEST_MPI, or on the PATH. */
function findLaunchers(): Launcher[] {
  const folders = (process.env.P2W_TEST_MPI || process.env.PATH || '').split(delimiter);
  const names = ['mpirun', 'mpirun.openmpi', 'mpiexec.hydra'];
  const paths = folders.flatMap((folder) => names.map((name) => join(folder, name))).filter(isExecutable);
  const launchers = paths.map((path) => ({
    path,
    isOpenMpi:
      execFileSync(path, ['--version'], { encoding: 'utf8', env: ENV }).match(/Open MPI|OpenRTE/) !== null,
  }));
  return [true, false].flatMap((wanted) => launchers.find(({ isOpenMpi }) => isOpenMpi === wanted) ?? []);
}

/** Tests run as root in containers, and with more ranks than there are processors. */
const ENV = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  PRTE_MCA_rmaps_default_mapping_policy: ':oversubscribe',
  OMPI_MCA_mpi_yield_when_idle: '1',
  OMPI_MCA_btl_vader_single_copy_mechanism: 'none',
};

export const launchers = findLaunchers();
export const NO_MPI =
  'there is no mpirun here: apt-get install openmpi-bin mpich, or a folder with one in P2W_TEST_MPI';

/** What ranks need to find the library of a launcher that may not be the first on the PATH. */
function libraryOf({ path, isOpenMpi }: Launcher): string {
  const folder = join(dirname(realpathSync(path)), '..', 'lib');
  const names = isOpenMpi ? ['libmpi.so.40'] : ['libmpi.so.12', 'libmpich.so.12'];
  const beside = names.map((name) => join(folder, name)).find((file) => existsSync(file));
  return beside ?? names.at(-1)!;
}

/** The processes of a job that has been started. */
export interface Job {
  /** The launcher's. */
  readonly pid: number;
  /** Never rejects. */
  readonly finished: Promise<Finished>;
}

/** Starts `p2w` on several ranks. @param lines the command line of each group of ranks @param cwd where they run */
export function startRanks(
  launcher: Launcher,
  lines: readonly { readonly ranks: number; readonly line: readonly string[] }[],
  cwd?: string,
): Job {
  const args = lines.flatMap(({ ranks, line }, i) => [
    ...(i > 0 ? [':'] : []),
    ...['-n', String(ranks), process.execPath, P2W, ...line, '--distributed', 'mpi'],
  ]);
  const child = spawn(launcher.path, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    env: { ...ENV, P2W_MPI_LIBRARY: libraryOf(launcher) },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  return {
    pid: child.pid!,
    finished: new Promise((resolve) =>
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr })),
    ),
  };
}
