/*
 * An MPI library: found, loaded, and its binary interface told from the others. MPI's functions are the same in all of them,
 * but not what handles are: pointers to exported objects in Open MPI, integers in MPICH and its relatives, and other integers,
 * as wide as pointers, in the interface that MPI 5 has standardised.
 */
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type koffi from 'koffi';
import type { LibraryHandle } from 'koffi';
import { UserError } from '../errors.js';

type Koffi = typeof koffi;

/** What differs between the interfaces, of what is used here. */
interface Interface {
  /** C type of handles. */
  readonly handle: 'int' | 'void *';
  readonly world: number | bigint;
  readonly float: number | bigint;
  readonly byte: number | bigint;
  readonly sum: number | bigint;
  /** MPI_IN_PLACE, as an address. */
  readonly inPlace: bigint;
  /** MPI_THREAD_FUNNELED: there are other threads, but one alone calls MPI. */
  readonly funneled: number;
}

/** MPICH, Intel MPI, MVAPICH, Cray MPICH and ParaStation MPI. */
const MPICH: Interface = {
  handle: 'int',
  world: 0x44000000,
  float: 0x4c00040a,
  byte: 0x4c00010d,
  sum: 0x58000003,
  inPlace: -1n,
  funneled: 1,
};

/** MPI 5. */
const STANDARD: Interface = {
  handle: 'void *',
  world: 0x101n,
  float: 0x210n,
  byte: 0x247n,
  sum: 0x21n,
  inPlace: 1n,
  funneled: 1024,
};

type Addressed = (symbol: string) => bigint;
const openMpi = (address: Addressed): Interface => ({
  handle: 'void *',
  world: address('ompi_mpi_comm_world'),
  float: address('ompi_mpi_float'),
  byte: address('ompi_mpi_byte'),
  sum: address('ompi_mpi_op_sum'),
  inPlace: 1n,
  funneled: 1,
});

/**
 * The functions of a library that are used here, for the main thread. They wait for the other ranks, and block the event loop as
 * a run of ONNX Runtime does. On other threads Open MPI 4 leaves destructors behind, which crash when the process ends.
 */
export interface MpiLibrary {
  readonly path: string;
  /** What it calls itself: `Open MPI v5.0.11`. */
  readonly version: string;
  init(): void;
  /** Whether it takes memory of a GPU; it is given none. Known after `init`. */
  cudaAware(): boolean;
  rank(): number;
  size(): number;
  /** Adds up over all ranks, in place. */
  sum(values: Float32Array): void;
  /** @param into as many bytes from each rank, by rank */
  gather(bytes: Uint8Array, into: Uint8Array): void;
  finalize(): void;
  /** Ends all ranks, this one too. */
  abort(code: number): void;
}

/** An MPI library that is to be taken instead of those that are looked for. */
const VARIABLE = 'P2W_MPI_LIBRARY';
const OPEN_MPI_NAMES = ['libmpi.so.40'];
const MPICH_NAMES = ['libmpi.so.12', 'libmpich.so.12', 'libmpi_abi.so.1', 'libmpi_abi.so.0'];

const HOW = `load the module of your MPI (Open MPI, MPICH, Intel MPI …), put its mpirun on the PATH, or set ${VARIABLE} to its libmpi.so`;

/** Open MPI's launchers, which its `mpirun` is a link to. */
const OPEN_MPI_LAUNCHER = /orterun|prterun|openmpi/;

/**
 * Where a library may be: beside the `mpirun` on the PATH, then where the loader looks. In both places those of the kind that has
 * started this process come first, or of the kind of that `mpirun` where none has.
 */
export function candidates(env: NodeJS.ProcessEnv): string[] {
  const named = env[VARIABLE];
  if (named) return [named];
  const found = (env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'mpirun'))
    .find((path) => existsSync(path));
  const launcher = found === undefined ? '' : realpathSync(found);
  const isOpenMpi =
    env.OMPI_COMM_WORLD_SIZE !== undefined ||
    (env.PMI_SIZE === undefined && OPEN_MPI_LAUNCHER.test(launcher));
  const names = isOpenMpi ? [...OPEN_MPI_NAMES, ...MPICH_NAMES] : [...MPICH_NAMES, ...OPEN_MPI_NAMES];
  if (launcher === '') return names;
  const folder = join(dirname(launcher), '..', 'lib');
  return [...names.map((name) => join(folder, name)).filter((path) => existsSync(path)), ...names];
}

async function loadKoffi(): Promise<Koffi> {
  try {
    return (await import('koffi')).default;
  } catch (cause) {
    throw new UserError('runtime', {
      what: 'the package koffi, with which MPI libraries are called, is not installed or does not load here',
      where: '--distributed mpi',
      fix: 'npm install koffi',
      cause,
    });
  }
}

function open(koffi: Koffi, paths: readonly string[]): { library: LibraryHandle; path: string } {
  const failures: string[] = [];
  for (const path of paths) {
    try {
      // Plugins of Open MPI before version 5 need its symbols to be global.
      return { library: koffi.load(path, { global: true }), path };
    } catch (error) {
      failures.push(`${path}: ${(error as Error).message.replace(/^Failed to load shared library: /, '')}`);
    }
  }
  throw new UserError('runtime', {
    what: 'no MPI library can be loaded',
    where: '--distributed mpi',
    got: failures.join('\n            '),
    fix: HOW,
  });
}

/** Loads an MPI library. @throws UserError of kind `runtime` when there is none, or one of an unknown binary interface */
export async function loadMpi(env: NodeJS.ProcessEnv = process.env): Promise<MpiLibrary> {
  const koffi = await loadKoffi();
  const { library, path } = open(koffi, candidates(env));
  const address: Addressed = (symbol) => BigInt(koffi.address(library.symbol(symbol, 'char')));
  const exports = (symbol: string): boolean => {
    try {
      return address(symbol) !== 0n;
    } catch {
      return false;
    }
  };
  if (!exports('MPI_Get_library_version')) throw unknownLibrary(path, 'no MPI library of version 3 or later');

  const text = Buffer.alloc(8192);
  const length: [number] = [0];
  library.func('int MPI_Get_library_version(void *text, _Out_ int *length)')(text, length);
  const version = text.toString('latin1', 0, length[0]).replaceAll('\0', '');
  const found = interfaceOf(version, {
    openMpi: exports('ompi_mpi_comm_world') ? address : null,
    standard: exports('MPI_Abi_get_version') && standardVersion(library) > 0,
  });
  if (!found) throw unknownLibrary(path, version);
  return { path, version: shortVersion(version), ...functions(library, found, exports) };
}

/** Major version of the standard's interface; −1 in a library that has another one. */
function standardVersion(library: LibraryHandle): number {
  const [major, minor]: [[number], [number]] = [[-1], [-1]];
  library.func('int MPI_Abi_get_version(_Out_ int *major, _Out_ int *minor)')(major, minor);
  return major[0];
}

/** @param exported what the library itself shows of its interface */
export function interfaceOf(
  version: string,
  exported: { readonly openMpi: Addressed | null; readonly standard: boolean },
): Interface | null {
  if (exported.standard) return STANDARD;
  if (exported.openMpi) return openMpi(exported.openMpi);
  return /MPICH|Intel\(R\) MPI|MVAPICH|ParaStation/.test(version) ? MPICH : null;
}

/** `MPICH Version:      5.0.2\n…` as `MPICH 5.0.2`, `Open MPI v5.0.11, package: …` as `Open MPI v5.0.11`. */
export const shortVersion = (version: string): string =>
  version
    .split(/[\n,]/)[0]!
    .replace(/\s+version\b:?/i, '')
    .replace(/\s+/g, ' ')
    .trim();

const unknownLibrary = (path: string, got: string) =>
  new UserError('runtime', {
    what: 'this library has a binary interface that p2w does not know',
    where: path,
    got: got.trim(),
    expected: 'Open MPI, MPICH or a relative of it such as Intel MPI, or the standard interface of MPI 5',
    fix: HOW,
  });

/** An extension that Open MPI and MPICH have in common. */
const CUDA_QUERY = 'MPIX_Query_cuda_support';

/** MPI's functions by what they are used for. By default MPI ends all ranks where one of them fails. */
function functions(
  library: LibraryHandle,
  { handle, world, float, byte, sum, inPlace, funneled }: Interface,
  exports: (symbol: string) => boolean,
): Omit<MpiLibrary, 'path' | 'version'> {
  const bind = (prototype: string) => library.func(prototype.replaceAll('HANDLE', handle));
  const initialise = bind('int MPI_Init_thread(void *argc, void *argv, int required, _Out_ int *provided)');
  const commRank = bind('int MPI_Comm_rank(HANDLE comm, _Out_ int *rank)');
  const commSize = bind('int MPI_Comm_size(HANDLE comm, _Out_ int *size)');
  const allReduce = bind(
    'int MPI_Allreduce(void *from, void *to, int count, HANDLE type, HANDLE op, HANDLE comm)',
  );
  const allGather = bind(
    'int MPI_Allgather(void *from, int sent, HANDLE type, void *to, int received, HANDLE toType, HANDLE comm)',
  );
  const finalize = bind('int MPI_Finalize()');
  const abort = bind('int MPI_Abort(HANDLE comm, int code)');
  const numberOf = (call: (comm: unknown, value: [number]) => void): number => {
    const value: [number] = [-1];
    call(world, value);
    return value[0];
  };
  return {
    init: () => void initialise(null, null, funneled, [0]),
    cudaAware: () => exports(CUDA_QUERY) && bind(`int ${CUDA_QUERY}()`)() === 1,
    rank: () => numberOf(commRank),
    size: () => numberOf(commSize),
    sum: (values) => void allReduce(inPlace, values, values.length, float, sum, world),
    gather: (bytes, into) => void allGather(bytes, bytes.length, byte, into, bytes.length, byte, world),
    finalize: () => void finalize(),
    abort: (code) => void abort(world, code),
  };
}
