/** How near steps and encoders come to what the machine can do, and how their cost grows. */
import { availableParallelism } from 'node:os';
import { type PresetName, resolveConfig } from '../config/pretraining.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { shortNumber } from '../report/numbers.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { checkCounts } from './bench.js';
import { benchmark } from './benchmark.js';
import { type Cost, encoderCost, stepCost } from './limit/costs.js';
import { measureGrowth, type Series } from './limit/growth.js';
import { betterPeaks, measurePeaks, type Peaks } from './limit/peaks.js';
import type { Spread } from './spread.js';
import { encoderWorkload } from './workloads/encoder.js';
import type { StepJob } from './workloads/training.js';
import { nodeRunner } from './workloads/workload.js';

export interface LimitOptions {
  readonly presets: readonly PresetName[];
  readonly batch: number;
  readonly rounds: number;
  /** 0 is one a core. */
  readonly threads: number;
  /** Measure how the cost of a step grows, too. */
  readonly growth: boolean;
}

/** A job, what it asks of the machine, and how long it takes. */
interface Measured extends Cost {
  readonly name: string;
  readonly seconds: Spread;
}

export interface LimitRow extends Measured {
  /** If the machine did nothing but calculate, or nothing but move. */
  readonly secondsOfFlops: number;
  readonly secondsOfBytes: number;
  /** The longer of both over what it takes. */
  readonly reached: number;
}

export interface LimitResult {
  readonly batch: number;
  readonly rounds: number;
  readonly machine: MachineFacts;
  readonly peaks: Peaks;
  readonly rows: readonly LimitRow[];
  readonly growth: readonly Series[];
}

function againstPeaks(row: Measured, { flopsPerSecond, bytesPerSecond }: Peaks): LimitRow {
  const [secondsOfFlops, secondsOfBytes] = [row.flops / flopsPerSecond, row.bytes / bytesPerSecond];
  return {
    ...row,
    ...{ secondsOfFlops, secondsOfBytes },
    reached: Math.max(secondsOfFlops, secondsOfBytes) / row.seconds.median,
  };
}

/** What is measured of a preset. @param folder for the files of runners */
async function jobsOf(preset: PresetName, step: Omit<StepJob, 'preset'>, folder: string) {
  const { batch, threads } = step;
  const config = resolveConfig({ preset, config: { batch, microBatch: batch, forms: 'fast', threads } });
  const encoder = encoderWorkload({
    ...{ preset, batch, threads, device: 'cpu', python: '', settings: [], input: [], folder },
  });
  return [
    {
      name: `step, ${preset}`,
      cost: await stepCost(config),
      runner: nodeRunner('step', 'step', { ...step, preset }),
    },
    { name: `encoder, ${preset}`, cost: await encoderCost(config), runner: encoder.own },
  ];
}

/**
 * Measures the jobs, one after the other, and the machine, before and after them.
 * @param log what happens, line by line
 * @throws UserError when the rounds or the batch make no sense
 */
export async function benchLimit(options: LimitOptions, log: (line: string) => void): Promise<LimitResult> {
  const { presets, batch, rounds } = options;
  checkCounts(options);
  const threads = options.threads || availableParallelism();
  const before = await measurePeaks(threads);
  const measured: Measured[] = [];
  const step: Omit<StepJob, 'preset'> = {
    ...{ settings: [], task: null, batch, threads, device: 'cpu', forms: 'fast', store: null },
  };
  await withTemporaryFolder('p2w-bench-', async (folder) => {
    for (const preset of presets) {
      for (const { name, cost, runner } of await jobsOf(preset, step, folder)) {
        const { seconds } = (await benchmark({ ...runner, name }, [], rounds, log)).rows[0]!;
        measured.push({ name, ...cost, seconds });
      }
    }
  });
  const growth = options.growth ? await measureGrowth({ ...step, preset: 'tiny' }, rounds, log) : [];
  const peaks = betterPeaks(before, await measurePeaks(threads));
  const rows = measured.map((row) => againstPeaks(row, peaks));
  return { batch, rounds, machine: machineFacts(), peaks, rows, growth };
}

const giga = (value: number) => shortNumber(value / 1e9);
const seconds = (value: number) => value.toPrecision(3);

/** Columns of one width, the first of words. */
function columns(table: readonly (readonly string[])[]): string[] {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const pad = (cell: string, i: number) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!));
  return table.map((row) => row.map(pad).join('  '));
}

/** The result for people. */
export function formatLimit({ batch, rounds, machine, peaks, rows, growth }: LimitResult): string {
  const table = rows.map((row) => [
    ...[row.name, giga(row.flops), seconds(row.secondsOfFlops), giga(row.bytes), seconds(row.secondsOfBytes)],
    ...[seconds(row.seconds.median), `${(100 * row.reached).toFixed(0)} %`],
  ]);
  const grown = growth.flatMap(({ name, points, exponent, ended }) => [
    '',
    `a step of tiny by ${name}${exponent === null ? '' : `: seconds grow as ${name} to the power of ${exponent.toFixed(2)}`}`,
    ...columns([
      [name, 'GFLOP', 'seconds', 'peak GB'],
      ...points.map((p) => [p.label, giga(p.flops), seconds(p.seconds), giga(p.peakBytes)]),
    ]),
    ...(ended === undefined ? [] : [ended]),
  ]);
  return [
    `batch ${batch}, medians of ${rounds} rounds; ${machine.cpu}, ${machine.cores} cores: ` +
      `${giga(peaks.flopsPerSecond)} GFLOP/s, ${giga(peaks.bytesPerSecond)} GB/s`,
    ...columns([['', 'GFLOP', 'at peak s', 'GB', 'at peak s', 'takes s', 'reached'], ...table]),
    ...grown,
  ].join('\n');
}
