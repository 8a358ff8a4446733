/** Processes that `mpirun` or `srun` has started, as {@link Ranks}. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { UserError } from '../errors.js';
import { loadMpi, type MpiLibrary } from './mpi-library.js';
import type { Ranks } from './ranks.js';

/** How many processes the launcher says that it has started; undefined where there was none. */
export function launchedSize(env: NodeJS.ProcessEnv): number | undefined {
  const text = env.OMPI_COMM_WORLD_SIZE ?? env.PMI_SIZE ?? env.SLURM_STEP_NUM_TASKS;
  return text === undefined ? undefined : Number(text);
}

/** The processors that this process may run on, as Linux lists them; empty elsewhere. */
function processors(): string {
  try {
    return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

function gatherFrom<T>(mpi: MpiLibrary, size: number, value: T): T[] {
  const own = serialize(value);
  const lengths = new Uint32Array(size);
  const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  mpi.gather(bytesOf(Uint32Array.of(own.length)), bytesOf(lengths));
  const longest = Math.max(...lengths);
  const padded = new Uint8Array(longest);
  padded.set(own);
  const all = new Uint8Array(longest * size);
  mpi.gather(padded, all);
  return [...lengths].map((length, rank) =>
    deserialize(all.subarray(rank * longest, rank * longest + length)),
  );
}

/**
 * Joins the other processes that the same `mpirun` or `srun` has started; alone, it is the only rank. From then on a process
 * that exits without `close` ends all of them.
 * @throws UserError of kind `runtime` when there is no usable MPI library, or not that of the launcher
 * @example
 * const ranks = await openMpi();
 * await pretrain({ data: 'tiles', out: 'runs/first', ranks });
 * ranks.close();
 */
export async function openMpi(): Promise<Ranks> {
  const mpi = await loadMpi();
  mpi.init();
  let isOpen = true;
  process.on('exit', (code) => {
    if (isOpen) mpi.abort(code || 1);
  });
  const [rank, size] = [mpi.rank(), mpi.size()];
  const launched = launchedSize(process.env);
  if (launched !== undefined && launched !== size)
    throw new UserError('runtime', {
      what: 'the MPI library is not that of the launcher: the processes do not find each other',
      where: mpi.path,
      got: `${mpi.version}, which counts ${counted(size, 'rank')} of ${launched}`,
      fix: 'set P2W_MPI_LIBRARY to the libmpi.so of the MPI whose mpirun is used; with srun, choose its interface: --mpi=pmix or --mpi=pmi2',
    });
  const all = gatherFrom(mpi, size, { host: hostname(), processors: processors() });
  const here = all.filter(({ host }) => host === all[rank]!.host);
  const hosts = new Set(all.map(({ host }) => host)).size;
  return {
    rank,
    size,
    onHost: here.length,
    onProcessors: here.filter((other) => other.processors === all[rank]!.processors).length,
    description: `${counted(size, 'rank')} on ${counted(hosts, 'host')}, ${mpi.version}${mpi.cudaAware() ? ', CUDA-aware' : ''}`,
    sum: async (values) => mpi.sum(values),
    gather: async (value) => gatherFrom(mpi, size, value),
    close() {
      isOpen = false;
      mpi.finalize();
    },
  };
}

/** The first rank has the word first: what goes wrong on one of them has often gone wrong on all. */
const HELD_MS = 3000;

/** An error with the name of the rank that it happened on; other ranks than the first hold it back for a moment. */
export async function ofRank(error: unknown, { rank, size }: Ranks): Promise<unknown> {
  if (size === 1) return error;
  if (rank > 0) await setTimeout(HELD_MS);
  const name = `rank ${rank} on ${hostname()}`;
  if (error instanceof UserError) {
    const { kind, facts } = error;
    return new UserError(kind, { ...facts, where: facts.where ? `${name}, ${facts.where}` : name });
  }
  if (error instanceof Error) error.message = `${name}: ${error.message}`;
  return error;
}
