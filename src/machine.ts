import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fromSystemError, UserError } from './errors.js';

/** What a time depends on: printed beside every measurement. */
export interface MachineFacts {
  readonly cpu: string;
  /** Processors that this process may use. */
  readonly cores: number;
  /** The vector instructions that matter to ONNX Runtime. */
  readonly features: string;
  readonly memory: string;
  readonly platform: string;
  readonly node: string;
  readonly onnxruntime: string;
}

const FEATURES = ['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_tile', 'asimd'];

/** Vector instructions of the processor; empty where /proc/cpuinfo does not say. */
export function cpuFeatures(): string[] {
  if (!existsSync('/proc/cpuinfo')) return [];
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  const present = new Set(line.split(' '));
  return FEATURES.filter((feature) => present.has(feature));
}

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Memory that this process may use: the machine's, or less where a control group limits it. */
export function memoryLimitBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/** Memory that is still to be had, within the limit of a control group too. */
export const freeMemoryBytes = (): number => process.availableMemory();

/** More threads than these only wait for each other. */
export const mostThreads = (): number => 4 * availableParallelism();

/** @param least 0 where that means one a core  @throws UserError unless this many threads are of use here */
export function checkThreads(where: string, threads: number, least: 0 | 1): void {
  const most = mostThreads();
  if (Number.isSafeInteger(threads) && threads >= least && threads <= most) return;
  throw new UserError('usage', {
    what: threads > most ? 'too many threads for this machine' : 'this is not a number of threads',
    where,
    got: String(threads),
    expected: `${least} to ${most}, four per core${least === 0 ? '; 0 means one per core' : ''}`,
  });
}

/** What the machine is. */
export function machineFacts(): MachineFacts {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    features: cpuFeatures().join(' '),
    memory: gigabytes(memoryLimitBytes()),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    onnxruntime: version,
  };
}

/** Most memory that this process has held so far (resident set). */
export function peakMemoryBytes(): number {
  // On Linux getrusage also knows of the process that started this one: its maximum outlives fork and exec.
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return Number(kilobytes ?? process.resourceUsage().maxRSS) * 1024;
}

/** Bytes that an ordinary user may still write below a folder. @throws UserError when it does not exist */
export function freeDiskBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    throw fromSystemError(error, folder);
  }
}
