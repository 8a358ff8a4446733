/** What a pre-training has come to. */
import type { Config } from '../config/pretraining.js';
import type { TileStore } from '../data/store/tiles.js';
import { shellWord } from '../shell.js';
import { formatSpeed, type TrainingSummary } from '../train/train-run.js';
import { usesBatchStatistics } from './batch-statistics.js';

export interface PretrainSummary extends TrainingSummary {
  /** Commands of `p2w` that make use of the run, or go on with it. */
  readonly next: readonly string[];
}

/** Commands that make use of a run, or go on with one that was interrupted. */
export function nextCommands(
  { run: folder, ending }: TrainingSummary,
  { network }: Config,
  { validation }: TileStore,
): string[] {
  const run = shellWord(folder);
  if (ending === 'interrupted') return [`p2w pretrain --out ${run} --resume`];
  if (usesBatchStatistics(network)) return [];
  // A report compares parts of several wholes.
  const report = validation.length > 1 ? [`p2w report --run ${run}`] : [];
  return [...report, `p2w export --run ${run} --out encoder`];
}

/** The summary for people. */
export function formatPretrain(summary: PretrainSummary): string {
  const { ending, from, step, best, run, next } = summary;
  if (from === step && ending === 'finished')
    return `nothing to do: ${run} has reached its last step, ${step}; use --steps to train longer`;
  if (from === step && ending === 'early-stop')
    return `nothing to do: ${run} stopped early at step ${step}, as nothing improved any more`;
  const end = {
    finished: `finished at step ${step}`,
    'early-stop': `stopped early at step ${step}: no further improvement`,
    interrupted: `interrupted at step ${step} and saved`,
  }[ending];
  const quality = !best
    ? 'not validated yet'
    : best.step === 0
      ? `best validation MSE ${best.validationLoss.toFixed(5)}, of the untrained network`
      : `best validation MSE ${best.validationLoss.toFixed(5)} at step ${best.step}`;
  return [end, quality, formatSpeed(summary), ...(next.length > 0 ? [`next: ${next.join(', ')}`] : [])].join(
    '\n',
  );
}
