/** The same training on every ONNX Runtime that there is: do the losses agree, and how long does a step take? */
import { checkInteger, UserError } from '../errors.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import type { Curve, TrainingWorkload } from './engines/curves.js';
import { type Runner, runners } from './engines/runners.js';
import { GENTLE, makeWorkload, type WorkloadOptions } from './engines/workload.js';
import { spreadOf } from './spread.js';

/** Without a preset, a small network that is trained gently: see {@link GENTLE}. */
export interface EnginesOptions extends WorkloadOptions {
  readonly settings?: readonly string[];
  /** A Chromium; one on the PATH without it. */
  readonly browser?: string;
}

export interface EngineRow {
  readonly name: string;
  readonly place: string;
  readonly losses: readonly number[];
  /** Largest difference of a loss from onnxruntime-node's. */
  readonly difference: number;
  /** A step takes, median and extremes, the first left out. */
  readonly seconds: { readonly median: number; readonly min: number; readonly max: number };
  /** How many times as long as onnxruntime-node's. */
  readonly ratio: number;
}

export interface EnginesResult {
  readonly settings: readonly string[];
  readonly batch: number;
  readonly steps: number;
  readonly machine: MachineFacts;
  readonly rows: readonly EngineRow[];
  readonly unavailable: readonly {
    readonly name: string;
    readonly place: string;
    readonly unavailable: string;
  }[];
}

/**
 * Trains with each runner in turn, and compares it with the first.
 * @throws what the first runner throws, and what is no {@link UserError}: the others may be unavailable
 */
export async function compareRunners(
  compared: readonly Runner[],
  workload: TrainingWorkload,
  log: (line: string) => void,
): Promise<Pick<EnginesResult, 'rows' | 'unavailable'>> {
  const rows: EngineRow[] = [];
  const unavailable: { name: string; place: string; unavailable: string }[] = [];
  for (const { name, place, train } of compared) {
    let curve: Curve;
    try {
      curve = await train(workload);
    } catch (error) {
      if (rows.length === 0 || !(error instanceof UserError)) throw error;
      unavailable.push({ name, place, unavailable: error.message });
      log(`${name} in ${place} is unavailable: ${error.message}`);
      continue;
    }
    const first = rows[0] ?? { losses: curve.losses, seconds: spreadOf(curve.seconds.slice(1)) };
    const seconds = spreadOf(curve.seconds.slice(1));
    rows.push({
      name,
      place,
      losses: curve.losses,
      difference: Math.max(...curve.losses.map((loss, i) => Math.abs(loss - first.losses[i]!))),
      seconds,
      ratio: seconds.median / first.seconds.median,
    });
    log(`${name} in ${place}: ${seconds.median.toPrecision(3)} s/step`);
  }
  return { rows, unavailable };
}

/**
 * Trains the same network from the same weights on the same batches, on every engine in turn.
 * @param log what happens, line by line
 * @throws UserError when steps or batch make no sense, or onnxruntime-node itself cannot do it
 */
export async function benchEngines(
  options: EnginesOptions,
  log: (line: string) => void,
): Promise<EnginesResult> {
  const { preset, batch, steps, browser } = options;
  const settings = [...(preset ? [`preset=${preset}`] : GENTLE), ...(options.settings ?? [])];
  checkInteger('--steps', steps, 2); // two points make a curve
  const found = await compareRunners(runners(browser), makeWorkload(settings, options), log);
  return { settings, batch, steps, machine: machineFacts(), ...found };
}

/** The result for people. */
export function formatEngines({ settings, batch, steps, machine, rows, unavailable }: EnginesResult): string {
  const table = [
    ['', '', 'last loss', 'largest difference', 's/step', 'times onnxruntime-node'],
    ...rows.map(({ name, place, losses, difference, seconds, ratio }) => [
      name,
      place,
      losses.at(-1)!.toFixed(6),
      difference.toExponential(1),
      seconds.median.toPrecision(3),
      ratio.toFixed(1),
    ]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return [
    `${settings.join(' ')}; batch ${batch}, the same ${steps} steps everywhere; ${machine.cpu}, ${machine.cores} cores`,
    ...table.map((row) =>
      row
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    ),
    ...unavailable.map(
      ({ name, place, unavailable: reason }) => `${name} in ${place} is unavailable: ${reason}`,
    ),
  ].join('\n');
}
