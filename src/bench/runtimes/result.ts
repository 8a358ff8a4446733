import type { Precision } from '../../inference/precision.js';
import type { MachineFacts } from '../../machine.js';

/** What was measured on one runtime. */
export interface RuntimeRow {
  readonly name: string;
  readonly place: 'Node.js' | 'Chromium';
  readonly precision: Precision;
  readonly threads: number;
  readonly detail: string;
  readonly loadSeconds: number;
  /** Percentiles of a run. */
  readonly seconds: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly min: number;
    readonly max: number;
  };
  readonly runs: number;
  /** Runs a second, one after the other. */
  readonly throughput: number;
  /** Most memory that its process has held; null in a browser. */
  readonly peakBytes: number | null;
  /** Largest relative RMS difference of an output from onnxruntime-node's with one thread in float32. */
  readonly error: number;
}

export interface AbsentRuntime {
  readonly name: string;
  readonly place: RuntimeRow['place'];
  readonly precision: Precision;
  readonly reason: string;
}

export interface RuntimesResult {
  readonly title: string;
  /** Inputs as they were fed: type and shape. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly modelBytes: number;
  readonly machine: MachineFacts;
  readonly rows: readonly RuntimeRow[];
  readonly absent: readonly AbsentRuntime[];
}
