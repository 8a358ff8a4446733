import { extname, isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TaskKind } from '../../config/finetuning.js';
import type { PresetName } from '../../config/pretraining.js';
import { programArguments } from '../../program.js';
import type { Device } from '../../runtime/device.js';
import type { RunnerSpec } from '../runner.js';

/** A job that is timed: how this package runs it, and how the baselines do. */
export interface Workload<Baseline extends string = string> {
  readonly title: string;
  readonly own: RunnerSpec;
  /** Of every baseline each configuration that may be its fastest. */
  readonly baselines: Readonly<Record<Baseline, readonly RunnerSpec[]>>;
}

/** Samples of a batch where nothing else is said. */
export const USUAL_BATCH = 4;

/** What a user chooses. */
export interface WorkloadOptions {
  readonly preset: PresetName;
  readonly batch: number;
  /** Threads of every runner. */
  readonly threads: number;
  /** Where every runner runs. */
  readonly device: Device;
  /** Python interpreter of the baselines that need one. */
  readonly python: string;
  /** Steps: keys of the configuration, `key=value`. */
  readonly settings: readonly string[];
  /** Steps: of a target task instead of pre-training. */
  readonly task?: TaskKind;
  /** Scans to prepare, a scan to segment, or folders of DICOM series; without them scans are made, but for DICOM. */
  readonly input: readonly string[];
  /** For the files of all runners; it is removed when they have ended. */
  readonly folder: string;
}

/** The command line of a program of this package that does a job. @param metaUrl `import.meta.url` of the caller */
export const nodeProgram = (metaUrl: string, name: string, job: object): string[] => [
  process.execPath,
  ...programArguments(metaUrl, name),
  JSON.stringify(job),
];

/** A program of this folder, `*.runner`. */
export function nodeRunner(name: string, program: string, job: object): RunnerSpec {
  return { name, command: nodeProgram(import.meta.url, `./${program}.runner`, job) };
}

/** @param script one of `src/bench/baselines`, which stay beside the sources, as nothing compiles them; or a path */
export function pythonRunner(
  name: string,
  python: string,
  script: string,
  job: object,
  environment?: RunnerSpec['environment'],
): RunnerSpec {
  const folder = extname(import.meta.url) === '.ts' ? '../baselines' : '../../../../src/bench/baselines';
  const path = isAbsolute(script)
    ? script
    : fileURLToPath(new URL(`${folder}/${script}.py`, import.meta.url));
  return { name, command: [python, path, JSON.stringify(job)], ...(environment && { environment }) };
}

/** One thread may be faster than all of them. */
export const threadCounts = (threads: number): number[] => [...new Set([threads, 1])];

/** With these glibc's allocator keeps what is freed, instead of asking the system for it again in every step. */
const KEPT_MEMORY = {
  MALLOC_MMAP_THRESHOLD_: '8000000000',
  MALLOC_TRIM_THRESHOLD_: '16000000000',
  MALLOC_TOP_PAD_: '1000000000',
};

/** A script that runs PyTorch on the CPU, its allocator tuned where it can be. */
export const torchRunner = (name: string, python: string, script: string, job: object): RunnerSpec =>
  pythonRunner(name, python, script, job, process.platform === 'linux' ? KEPT_MEMORY : undefined);

/** {@link torchRunner} in every configuration that may be PyTorch's fastest. */
export const torchRunners = (
  name: string,
  { python, threads }: Pick<WorkloadOptions, 'python' | 'threads'>,
  script: string,
  job: object,
): RunnerSpec[] =>
  threadCounts(threads).flatMap((count) =>
    [true, false].flatMap((channelsLast) =>
      [false, true].map((compile) =>
        torchRunner(name, python, script, { ...job, threads: count, channelsLast, compile }),
      ),
    ),
  );
