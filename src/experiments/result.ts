import type { Correlation } from '../analysis/statistics.js';
import type { ExperimentName } from './schema.js';
import type { Comparison, Group } from './statistics.js';

/** One checkpoint of a pre-training and what it is worth (Fig. 3). */
export interface CheckpointPoint {
  readonly step: number;
  readonly validationMse: number;
  /** Mean and deviation of the scores, target by target. */
  readonly scores: Readonly<Record<string, { readonly mean: number; readonly deviation: number | null }>>;
}

/** An experiment that fine-tunes. */
export type TrialsName = Exclude<ExperimentName, 'fig2'>;

export interface ExperimentResult {
  readonly name: TrialsName;
  readonly groups: readonly Group[];
  readonly comparisons: readonly Comparison[];
  /** Fig. 3's, along the pre-training. */
  readonly checkpoints: readonly CheckpointPoint[];
  /** Of 1 − MSE and mean scores over the checkpoints, target by target; null where it is not defined. */
  readonly correlations: Readonly<Record<string, Correlation | null>>;
  readonly files: Readonly<Record<'page' | 'json' | 'csv' | 'chart', string>>;
}
