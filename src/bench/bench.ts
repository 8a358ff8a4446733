import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { checkInteger, UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { resolveDevice } from '../runtime/device.js';
import { barChart } from './bars.js';
import { type Race, type Row, race } from './race.js';
import type { WorkOptions } from './works/entry.js';
import { WORKS, type WorkName } from './works/index.js';

export interface BenchOptions extends Omit<WorkOptions, 'threads' | 'input' | 'device'> {
  readonly work: WorkName;
  /** Who takes part; everybody without it. */
  readonly peers?: readonly string[];
  readonly rounds: number;
  /** Threads of every contestant; 0 is one a core. */
  readonly threads?: number;
  /** Scans to prepare; phantoms without it. */
  readonly input?: readonly string[];
  /** Where every contestant runs: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` without it. */
  readonly device?: string;
  /** SVG picture to write. */
  readonly out?: string;
}

export interface BenchResult extends Race {
  readonly work: WorkName;
  readonly title: string;
  readonly rounds: number;
  readonly machine: MachineFacts;
}

/** The result for people. */
export function formatBench({ title, machine, rows, absent, ratios, rounds }: BenchResult): string {
  const memory = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const line = ({ name, detail, threads, seconds, peakBytes }: Row) => [
    name,
    seconds.median.toPrecision(3),
    seconds.min.toPrecision(3),
    seconds.max.toPrecision(3),
    memory(peakBytes),
    `${threads}`,
    detail,
  ];
  const table = [['', 'median s', 'min s', 'max s', 'peak memory', 'threads', ''], ...rows.map(line)];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return [
    `${title}, ${rounds} rounds; ${machine.cpu}, ${machine.cores} cores`,
    ...table.map((row) =>
      row
        .map((cell, i) =>
          i === 0 || i === row.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!),
        )
        .join('  ')
        .trimEnd(),
    ),
    ...ratios.map(
      ({ against, median, min, max }) =>
        `${median.toFixed(2)} × as fast as ${against} (${min.toFixed(2)} to ${max.toFixed(2)}, round by round)`,
    ),
    ...absent.map(({ name, missing }) => `${name} did not take part: ${missing}`),
  ].join('\n');
}

/** @throws UserError unless there is something to be done, and to be measured */
export function checkCounts({ rounds, batch }: { rounds: number; batch: number }): void {
  checkInteger('--rounds', rounds, 1);
  checkInteger('--batch', batch, 1);
}

/**
 * Times a piece of work against peers.
 * @param log what happens, line by line
 * @throws UserError when the rounds, the batch or the device make no sense, or nobody is called like a peer
 */
export async function bench(options: BenchOptions, log: (line: string) => void): Promise<BenchResult> {
  const { rounds } = options;
  checkCounts(options);
  const device = resolveDevice(options.device ?? 'auto');
  if (device !== 'cpu' && options.work !== 'step')
    throw new UserError('usage', {
      what: 'only steps are timed on a GPU',
      where: '--device',
      got: `${device} for ${options.work}`,
      expected: 'cpu',
    });
  const work = await WORKS[options.work]({
    ...options,
    input: options.input ?? [],
    threads: options.threads || availableParallelism(),
    device,
  });
  try {
    const known = Object.keys(work.peers);
    const unknown = (options.peers ?? []).filter((peer) => !known.includes(peer));
    if (unknown.length > 0)
      throw new UserError('usage', {
        what: `nobody is called so in ${options.work}`,
        where: '--peer',
        got: unknown.join(', '),
        expected: known.join(', '),
      });
    const peers = (options.peers ?? known).map((peer) => work.peers[peer]!);
    const raced = await race(work.own, peers, rounds, log);
    const bars = raced.rows.map(({ name, seconds }) => ({ name, ...seconds }));
    if (options.out) {
      makeFolder(dirname(options.out));
      writeFileAtomic(options.out, barChart(work.title, bars));
    }
    return { work: options.work, title: work.title, rounds, machine: machineFacts(), ...raced };
  } finally {
    work.dispose?.();
  }
}
