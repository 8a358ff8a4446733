/** How the cost of a training step grows: with the voxels of an image, with the batch, with the width of the network. */

import { predictMemory } from '../../execution/memory.js';
import { memoryLimitBytes } from '../../machine.js';
import { nodeEngine } from '../../runtime/node.js';
import { proxyWorkload } from '../../train/proxy.js';
import { benchmark } from '../benchmark.js';
import { proxyConfig, type StepJob } from '../workloads/training.js';
import { nodeRunner } from '../workloads/workload.js';
import { stepCost } from './costs.js';

/** One step of a series. */
export interface Point {
  readonly label: string;
  /** What grows: voxels, samples or channels. */
  readonly size: number;
  readonly flops: number;
  readonly seconds: number;
  readonly peakBytes: number;
}

export interface Series {
  readonly name: 'voxels' | 'batch' | 'width';
  readonly points: readonly Point[];
  /** Seconds grow as the size to this power; null for fewer than two points. */
  readonly exponent: number | null;
  /** Why the series ends before its last point. */
  readonly ended?: string;
}

/** A step that would take longer, in seconds, is left out, and with it all that are larger. */
const LONGEST = 30;

type Step = Omit<StepJob, 'store'>;

/** Steps of `tiny`, larger and larger. */
function seriesOf(
  base: Step,
): { name: Series['name']; steps: { label: string; size: number; step: Step }[] }[] {
  const of = (label: string, size: number, change: Partial<Step>) => ({
    ...{ label, size },
    step: { ...base, ...change },
  });
  return [
    {
      name: 'voxels',
      steps: [32, 64, 128, 256].map((n) =>
        of(`${n}³`, n ** 3, { batch: 1, settings: [`whole=${n}x${n}x${n}`] }),
      ),
    },
    { name: 'batch', steps: [1, 2, 4, 8, 16].map((batch) => of(String(batch), batch, { batch })) },
    {
      name: 'width',
      steps: [8, 16, 32, 64].map((width) =>
        of(String(width), width, { batch: 4, settings: [`network.width=${width}`] }),
      ),
    },
  ];
}

/** The power of x with which y grows: the slope of the line through the logarithms that fits best. */
export function growthExponent(points: readonly (readonly [x: number, y: number])[]): number | null {
  if (points.length < 2) return null;
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (axis: 0 | 1) => logs.reduce((sum, log) => sum + log[axis], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const along = logs.reduce((sum, log) => sum + (log[0] - x) ** 2, 0);
  return logs.reduce((sum, log) => sum + (log[0] - x) * (log[1] - y), 0) / along;
}

/** Why a step is not made: it would take too long, by the one before it, or too much memory. */
async function reasonAgainst(step: Step, flops: number, before: Point | undefined): Promise<string | null> {
  const seconds = before ? (before.seconds * flops) / before.flops : 0;
  if (seconds > LONGEST) return `a step would take about ${seconds.toFixed(0)} s`;
  const config = proxyConfig(step);
  const { total } = await predictMemory(proxyWorkload(config, config.whole), config, nodeEngine);
  return total > memoryLimitBytes() ? `a training would take ${(total / 1e9).toFixed(0)} GB` : null;
}

/** Measures all series. @param log what happens, line by line */
export async function measureGrowth(
  base: Step,
  rounds: number,
  log: (line: string) => void,
): Promise<Series[]> {
  const measured: Series[] = [];
  for (const { name, steps } of seriesOf(base)) {
    const points: Point[] = [];
    let ended: string | undefined;
    for (const { label, size, step } of steps) {
      const { flops } = await stepCost(proxyConfig(step));
      const reason = await reasonAgainst(step, flops, points.at(-1));
      if (reason !== null) {
        ended = `${label} left out: ${reason}`;
        break;
      }
      const runner = nodeRunner(`${name} ${label}`, 'step', { ...step, store: null });
      const [row] = (await benchmark(runner, [], rounds, log)).rows;
      points.push({ label, size, flops, seconds: row!.seconds.median, peakBytes: row!.peakBytes });
    }
    const exponent = growthExponent(points.map(({ size, seconds }) => [size, seconds]));
    measured.push({ name, points, exponent, ...(ended !== undefined && { ended }) });
  }
  return measured;
}
