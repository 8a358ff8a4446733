import { bootstrapIntervals, type Interval } from '../analysis/bootstrap.js';

/** Metrics by name; null where one is not defined, and a note then says why. */
export type Metrics = Readonly<Record<string, number | null>>;

/** What `evaluate` found. */
export interface Evaluation {
  readonly kind: 'masks' | 'scores' | 'detections' | 'neighbours';
  /** What was compared and how, in the order in which to read it. */
  readonly facts: Readonly<Record<string, number | string>>;
  /** Of several pairs of masks: the mean over those for which the metric is defined. */
  readonly metrics: Metrics;
  /** Of several pairs of masks: standard deviation (ddof 1) over them. */
  readonly standardDeviations: Metrics;
  /** 95 % bootstrap intervals over samples, scans, or pairs of masks. */
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly notes: readonly string[];
  /** Of masks: each pair. */
  readonly cases: readonly { readonly id: string; readonly metrics: Metrics }[];
}

/** How intervals are drawn. */
export interface Resampling {
  /** 0 for no intervals. */
  readonly resamples: number;
  readonly seed: number;
}

/** NaN, which JSON does not have, becomes null. */
export function toMetrics(values: Readonly<Record<string, number>>): Metrics {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}

/**
 * Metrics with their bootstrap intervals.
 * @param units samples, scans or cases that are drawn
 * @param measure the metrics, given how often each unit counts; once each without it
 */
export function withIntervals(
  units: number,
  measure: (draws?: Uint32Array) => Readonly<Record<string, number>>,
  resampling: Resampling,
): Pick<Evaluation, 'metrics' | 'intervals'> {
  const metrics = toMetrics(measure());
  const found = bootstrapIntervals(units, (draws) => Object.values(measure(draws)), resampling);
  const names = Object.keys(metrics);
  const intervals = names.flatMap((name, i): [string, Interval][] => {
    const interval = found[i];
    return interval && metrics[name] !== null ? [[name, interval]] : [];
  });
  return { metrics, intervals: Object.fromEntries(intervals) };
}

/** Metrics as lines: name, value or "undefined", ± standard deviation, interval. */
export function formatEvaluation(evaluation: Evaluation): string {
  const { kind, facts, metrics, standardDeviations, intervals, notes } = evaluation;
  const said = Object.entries(facts).map(([name, value]) => `${name} ${value.toLocaleString('en')}`);
  const width = Math.max(...Object.keys(metrics).map((name) => name.length));
  const lines = Object.entries(metrics).map(([name, value]) => {
    const spread = standardDeviations[name];
    const interval = intervals[name];
    const parts = [
      `  ${name.padEnd(width)}`,
      value === null ? 'undefined' : value.toFixed(4),
      ...(typeof spread === 'number' ? [`± ${spread.toFixed(4)}`] : []),
      ...(interval ? [`[${interval.map((end) => end.toFixed(4)).join(', ')}]`] : []),
    ];
    return parts.join('  ');
  });
  return [`${kind}: ${said.join(', ')}`, ...lines, ...notes.map((note) => `note: ${note}`)].join('\n');
}
