import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PresetName } from '../../config/pretraining.js';
import type { Device } from '../../runtime/device.js';

/** A way to run a contestant: a command line, and what to call it. */
export interface Entry {
  readonly name: string;
  readonly command: readonly string[];
}

/** What contestants do, and who can take part. */
export interface Work {
  readonly title: string;
  readonly own: Entry;
  /** Of every peer each configuration that may be its fastest. */
  readonly peers: Readonly<Record<string, readonly Entry[]>>;
  /** Removes what contestants share. */
  readonly dispose?: () => void;
}

/** What a user chooses. */
export interface WorkOptions {
  readonly preset: PresetName;
  readonly batch: number;
  /** Threads of every contestant. */
  readonly threads: number;
  /** Where every contestant runs. */
  readonly device: Device;
  /** Python interpreter of the peers that need one. */
  readonly python: string;
  /** Scans, for work on scans; none makes phantoms. */
  readonly input: readonly string[];
}

/** A child program of this folder, from the sources as well as from the built files. */
export function nodeEntry(name: string, child: string, job: object): Entry {
  const extension = extname(import.meta.url);
  const path = fileURLToPath(new URL(`./${child}.child${extension}`, import.meta.url));
  const loader = extension === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return { name, command: [process.execPath, ...loader, path, JSON.stringify(job)] };
}

/** A script of `src/bench/peers`; they stay beside the sources, as nothing compiles them. */
export function pythonEntry(name: string, python: string, script: string, job: object): Entry {
  const folder = extname(import.meta.url) === '.ts' ? '../peers' : '../../../../src/bench/peers';
  const path = fileURLToPath(new URL(`${folder}/${script}.py`, import.meta.url));
  return { name, command: [python, path, JSON.stringify(job)] };
}

/** One thread may be faster than all of them. */
export const threadCounts = (threads: number): number[] => [...new Set([threads, 1])];

/** What PyTorch may be fastest with. */
export const torchConfigurations = (threads: number) =>
  threadCounts(threads).flatMap((count) =>
    [true, false].flatMap((channelsLast) =>
      [false, true].map((compile) => ({ threads: count, channelsLast, compile })),
    ),
  );
