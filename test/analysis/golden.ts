import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What test/golden/make_metrics.py found with scikit-learn, SciPy, statsmodels and MONAI. */
export interface GoldenMetrics {
  readonly scores: readonly { label: number[]; score: number[]; auc: number; average_precision: number }[];
  readonly detections: readonly ({
    scans: string[];
    detections: GoldenPlace[];
    lesions: GoldenPlace[];
    excluded: GoldenPlace[];
  } & GoldenFroc)[];
  readonly masks: readonly {
    size: [number, number, number];
    spacing: [number, number, number];
    tolerance: number;
    percent: number[];
    reference: string;
    values: Record<string, number | null>;
  }[];
  readonly statistics: {
    cases: {
      a: number[];
      b: number[];
      welch: [t: number, p: number, degreesOfFreedom: number];
      paired?: [t: number, p: number, degreesOfFreedom: number];
      whole?: [number[], number[]];
      wilcoxon?: [statistic: number, p: number];
    }[];
    exact: { differences: number[]; wilcoxon: [statistic: number, p: number] };
    holm: { p: number[]; adjusted: number[] };
    normalTails: { z: number[]; p: number[] };
  };
}

/** Scan, x, y, z, and score or diameter. */
export type GoldenPlace = [scan: string, x: number, y: number, z: number, value: number];

export interface GoldenFroc {
  readonly sensitivity: number[];
  readonly detected: number;
  readonly falsePositives: number;
}

const read = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, '../golden', name), 'utf8'));

export const golden = read('metrics.json') as GoldenMetrics;

/** A real submission, whose files are not part of the repository. */
export const goldenLuna16 = read('luna16.json') as GoldenFroc & { numbers: number[] };
