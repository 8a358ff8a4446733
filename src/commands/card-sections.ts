/** What every model card says, whatever the model computes. */
import type { PrecisionReport } from '../inference/precision.js';
import type { SampleCount, sampleCounts } from './data-counts.js';
import { formatPrecision } from './export-precision.js';
import { formatScore, type Scores } from './score-samples.js';

/** Steps of training, as a card says them. */
export const stepsInWords = (steps: number): string => (steps === 0 ? '0: as it began' : String(steps));

export interface CheckedFacts {
  /** SHA-256 of the model's file. */
  readonly sha256: string;
  /** What another precision costs and brings, or its name; null for float32. */
  readonly precision: PrecisionReport | 'float16' | 'bfloat16' | null;
  /** What the float32 model was compared with when it was exported. */
  readonly check: string;
}

/** Of a file in another precision. */
export const float32Note = (precision: CheckedFacts['precision']): string =>
  precision === null
    ? ''
    : '\nScores and losses here are those of the float32 network: those of this file may differ, see Checks.\n';

const formatCount = ({ samples, patients }: SampleCount, of = '') =>
  `${samples}${of}${patients === null ? '' : ` of ${patients} patients`}`;

/** Lines of a table: how many samples a fine-tuned network has seen. */
export function countRows(counts: ReturnType<typeof sampleCounts>): string {
  if (!counts) return '| samples | not known: the store was moved or has changed |';
  const { train, validation, test } = counts;
  return `| training samples | ${formatCount(train)} |
| validation samples | ${formatCount(validation)} |
| test samples | ${formatCount(test)} |`;
}

/** What a fine-tuned network was found to be worth. @param scores null where it was not tested */
export function scoresSection(
  scores: Scores | null,
  counts: ReturnType<typeof sampleCounts>,
  precision: CheckedFacts['precision'],
): string {
  const rows = Object.entries(scores ?? {}).map(([name, value]) => `| ${name} | ${formatScore(value)} |`);
  const tested = counts ? formatCount(counts.test, ' test samples') : 'the test samples';
  return `## Scores

${
  rows.length > 0
    ? `| test samples | |\n|---|---|\n${rows.join('\n')}\n\nThese are the scores of the best checkpoint on ${tested} of the same data set.`
    : 'These weights have not been tested.'
}
${float32Note(precision)}`;
}

/** How the file is recognised and tested. */
export const checkedSection = (file: string, { sha256, precision, check }: CheckedFacts): string => `## Checks

| | |
|---|---|
| file | \`${file}\` |
| SHA-256 | \`${sha256}\` |
| at export | ${check} |
| precision | ${precision && typeof precision === 'object' ? formatPrecision(precision) : (precision ?? 'float32')} |
| on your machine | \`p2w verify ${file}\` runs the self-test that the file contains: an input of noise and its outputs, in the metadata under \`self_test\` |
`;

/** What the model is not for. */
export const limitsSection = (isTarget: boolean): string => `## Limits

- It is a research model. It has not been evaluated for any clinical use, and no regulatory body has cleared it.
- It knows images like those that it was trained on. Other scanners, protocols, body parts, patients and diseases may give wrong results
  without any sign of it.
- It does not recognise images of another modality, in other units or in another orientation; the caller must check them.
- ${
  isTarget
    ? 'Probabilities are not calibrated: 0.9 does not mean that 9 of 10 such answers are right. Test it on your own data first.'
    : 'Features are not results. What is trained or decided on them must be evaluated by itself.'
}
- It may reproduce what is unbalanced in its training data, such as age, sex or origin of the patients. These were not recorded.
`;
