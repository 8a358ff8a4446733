/** What every model card says, whatever the model computes. */
import type { PrecisionReport } from '../inference/precision.js';
import { formatPrecision } from './export-precision.js';

export interface CheckedFacts {
  /** SHA-256 of the model's file. */
  readonly sha256: string;
  /** What another precision costs and brings, or its name; null for float32. */
  readonly precision: PrecisionReport | 'float16' | 'bfloat16' | null;
  /** What the float32 model was compared with when it was exported. */
  readonly check: string;
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
