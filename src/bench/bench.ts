import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { checkResultFile } from '../commands/result-file.js';
import { readBytes } from '../data/scan/file.js';
import { checkInteger, UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { type Device, resolveDevice } from '../runtime/device.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { barChart, isBarChart } from './bar-chart.js';
import { type Benchmark, benchmark, configurationOf, type Row } from './benchmark.js';
import { WORKLOADS, type WorkloadKind, type WorkloadName } from './workloads/index.js';
import type { WorkloadOptions } from './workloads/workload.js';

export interface BenchOptions
  extends Omit<WorkloadOptions, 'threads' | 'input' | 'device' | 'settings' | 'folder'> {
  readonly workload: WorkloadName;
  /** Steps: keys of the configuration, `key=value`. */
  readonly settings?: readonly string[];
  /** What to compare with; all baselines of the workload without it. */
  readonly baselines?: readonly string[];
  readonly rounds: number;
  /** Threads of every runner; 0 is one a core. */
  readonly threads?: number;
  /** Scans to prepare, a scan to segment (made without it), or folders of DICOM series. */
  readonly input?: readonly string[];
  /** Where every runner runs: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` without it. */
  readonly device?: string;
  /** Bar chart to write, SVG. */
  readonly out?: string;
}

export interface BenchResult extends Benchmark {
  readonly workload: WorkloadName;
  readonly title: string;
  readonly rounds: number;
  readonly machine: MachineFacts;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** The result for people. */
export function formatBench({ title, machine, rows, unavailable, ratios, rounds }: BenchResult): string {
  const memory = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const line = ({ name, detail, threads, seconds, peakBytes, dataWait }: Row) => [
    name,
    seconds.median.toPrecision(3),
    seconds.min.toPrecision(3),
    seconds.max.toPrecision(3),
    memory(peakBytes),
    `${threads}`,
    dataWait === undefined ? detail : `${detail}; ${percent(dataWait)} of the time waiting for data`,
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
      ({ baseline, median, min, max }) =>
        `${median.toFixed(2)} × as fast as ${baseline} (${min.toFixed(2)} to ${max.toFixed(2)}, round by round)`,
    ),
    ...unavailable.map(({ name, unavailable: reason }) => `${name} is unavailable: ${reason}`),
  ].join('\n');
}

/** @throws UserError unless there is something to be done, and to be measured */
export function checkCounts({ rounds, batch }: { rounds: number; batch: number }): void {
  checkInteger('--rounds', rounds, 1);
  checkInteger('--batch', batch, 1);
}

/** The device that is meant. @throws UserError for a GPU that the workload would not run on */
export function checkDevice(workload: string, text = 'auto'): Device {
  const device = resolveDevice(text);
  if (device !== 'cpu' && workload !== 'step')
    throw new UserError('usage', {
      what: 'only steps are timed on a GPU',
      where: '--device',
      got: `${device} for ${workload}`,
      expected: 'cpu',
    });
  return device;
}

/** Those to compare with. @throws UserError for one that the workload does not have */
function baselineNames({ workload, baselines }: BenchOptions): readonly string[] {
  const known: readonly string[] = WORKLOADS[workload].baselines;
  const unknown = (baselines ?? []).filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new UserError('usage', {
      what: `\`bench ${workload}\` has no such baseline`,
      where: '--baseline',
      got: unknown.join(', '),
      expected: known.join(', '),
    });
  return [...new Set(baselines ?? known)];
}

const chartOf = (title: string, rows: readonly Row[]): string =>
  barChart(
    title,
    rows.map(({ seconds, ...row }) => ({ name: row.name, detail: configurationOf(row), ...seconds })),
  );

/** @throws UserError for a file that would be lost */
async function checkChartFile(out: string): Promise<void> {
  const isResult = async (path: string) => isBarChart((await readBytes(path, 0, 1024)).toString('utf8'));
  await checkResultFile(out, { input: [] }, { endings: ['svg'], isResult });
  makeFolder(dirname(out));
}

/**
 * Times a workload against baselines.
 * @param log what happens, line by line
 * @throws UserError when the rounds, the batch or the device make no sense, or the workload has no such baseline
 */
export async function bench(options: BenchOptions, log: (line: string) => void): Promise<BenchResult> {
  const { rounds } = options;
  checkCounts(options);
  const device = checkDevice(options.workload, options.device);
  const names = baselineNames(options);
  if (options.out) await checkChartFile(options.out);
  const kind: WorkloadKind = WORKLOADS[options.workload];
  const { title, ...result } = await withTemporaryFolder('p2w-bench-', async (folder) => {
    const { title, own, baselines } = await kind.open({
      ...options,
      input: options.input ?? [],
      settings: options.settings ?? [],
      threads: options.threads || availableParallelism(),
      device,
      folder,
    });
    const compared = names.map((name) => baselines[name]!);
    return { title, ...(await benchmark(own, compared, rounds, log)) };
  });
  if (options.out) writeFileAtomic(options.out, chartOf(title, result.rows));
  return { workload: options.workload, title, rounds, machine: machineFacts(), ...result };
}
