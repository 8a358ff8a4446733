import { availableParallelism } from 'node:os';
import type { PresetName } from '../config.js';
import { UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { barChart } from './bars.js';
import { type Race, type Row, race } from './race.js';
import { ownStep, type Peer, peerSteps, type StepWork } from './works.js';

export interface BenchOptions {
  readonly preset: PresetName;
  readonly batch: number;
  readonly peers: readonly Peer[];
  readonly rounds: number;
  /** Threads of every contestant; 0 is one a core. */
  readonly threads?: number;
  /** Python interpreter of the peers that need one. */
  readonly python: string;
  /** SVG picture to write. */
  readonly out?: string;
}

export interface BenchResult extends Race {
  readonly work: StepWork;
  readonly rounds: number;
  readonly machine: MachineFacts;
}

/** The result for people. */
export function formatBench({ work, machine, rows, absent, ratios, rounds }: BenchResult): string {
  const memory = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const line = ({ name, detail, threads, seconds, peakBytes }: Row) => [
    name,
    seconds.median.toFixed(3),
    seconds.min.toFixed(3),
    seconds.max.toFixed(3),
    memory(peakBytes),
    `${threads}`,
    detail,
  ];
  const table = [['', 'median s', 'min s', 'max s', 'peak memory', 'threads', ''], ...rows.map(line)];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return [
    `training step, ${work.preset}, batch ${work.batch}, ${rounds} rounds; ${machine.cpu}, ${machine.cores} cores`,
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

/**
 * Times training steps against peers.
 * @param log what happens, line by line
 * @throws UserError when the rounds or the batch make no sense
 */
export async function bench(options: BenchOptions, log: (line: string) => void): Promise<BenchResult> {
  const { preset, batch, rounds, python } = options;
  if (!(Number.isInteger(rounds) && rounds > 0 && Number.isInteger(batch) && batch > 0))
    throw new UserError('usage', {
      what: 'rounds and batch are whole numbers above 0',
      where: '--rounds, --batch',
      got: `${rounds}, ${batch}`,
    });
  const work: StepWork = { preset, batch, threads: options.threads || availableParallelism() };
  const peers = options.peers.map((peer) => peerSteps(peer, work, python));
  const result = {
    work,
    rounds,
    machine: machineFacts(),
    ...(await race(ownStep(work), peers, rounds, log)),
  };
  if (options.out) {
    const title = `Training step, ${preset}, batch ${batch}`;
    writeFileAtomic(
      options.out,
      barChart(
        title,
        result.rows.map(({ name, seconds }) => ({ name, ...seconds })),
      ),
    );
  }
  return result;
}
