/** What the trials of a fine-tuning came to. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import { formatScore, type Scores } from './score-samples.js';

export interface TrialSummary {
  readonly run: string;
  readonly seed: number;
  readonly step: number;
  readonly bestStep: number;
  readonly validationLoss: number;
  /** On the test samples, with the best checkpoint. */
  readonly test: Scores;
}

const scoresPath = (run: string) => join(run, 'scores.json');

/** Keeps what a trial came to, in its folder. */
export const writeTrial = (trial: TrialSummary): void =>
  writeFileAtomic(scoresPath(trial.run), `${JSON.stringify({ ...trial, run: undefined }, null, 2)}\n`);

/** What a trial came to; null for one that has not been tested yet. @throws UserError when the file is damaged */
export function readTrial(run: string): TrialSummary | null {
  if (!existsSync(scoresPath(run))) return null;
  try {
    return { run, ...(JSON.parse(readFileSync(scoresPath(run), 'utf8')) as Omit<TrialSummary, 'run'>) };
  } catch (cause) {
    throw new UserError('run', {
      what: 'the scores of this trial are damaged',
      where: scoresPath(run),
      fix: 'delete the file and use --resume: the trial will be scored again',
      cause,
    });
  }
}

/** The scores of a checkpoint on the test samples; null unless it is the one that was tested. */
export function testedScores(run: string, { state }: Pick<Checkpoint, 'state'>): Scores | null {
  const trial = readTrial(run);
  return trial && trial.bestStep === state.step ? trial.test : null;
}

export interface FinetuneSummary {
  readonly out: string;
  readonly init: string;
  /** Training samples of the first trial. */
  readonly trainingSamples: number;
  readonly testSamples: number;
  /** Those that are finished. */
  readonly trials: readonly TrialSummary[];
  readonly interrupted: boolean;
  readonly mean: Scores;
  /** What is worth knowing of the samples, such as empty masks. */
  readonly notes: readonly string[];
  /** Over the trials, ddof 1; empty for one. */
  readonly standardDeviation: Scores;
}

/** A measure over the trials; null where one of them has none. */
export function overTrials(trials: readonly TrialSummary[], of: (values: number[]) => number): Scores {
  const names = Object.keys(trials[0]?.test ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = trials.flatMap(({ test }) => test[name] ?? []);
      return [name, values.length === trials.length ? of(values) : null];
    }),
  );
}

/** The summary for people. */
export function formatFinetune(summary: FinetuneSummary): string {
  const { out, init, trials, interrupted } = summary;
  const lines = Object.entries(summary.mean).map(([name, value]) => {
    const spread = summary.standardDeviation[name] ?? null;
    return `  ${name}: ${formatScore(value)}${spread === null ? '' : ` ± ${formatScore(spread)}`}`;
  });
  if (interrupted)
    return `interrupted and saved, ${trials.length} trials finished; to continue, run the same command with --resume`;
  const [only] = trials;
  return [
    `${out}: started from ${init}, ${summary.trainingSamples} training samples, tested on ${summary.testSamples}` +
      (trials.length === 1
        ? `, best step ${only!.bestStep} of ${only!.step}`
        : `, ${trials.length} trials, mean ± s.d.`),
    ...lines,
  ].join('\n');
}
