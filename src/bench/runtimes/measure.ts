/** Loads a model, runs it, and compares it. Imports nothing of Node.js: pages run it too. */
import { halfToNumber } from '../../../graphs/onnx/float16.js';
import type { EngineTensor, Tensors } from '../../runtime/engine.js';
import { warmUp } from '../repeat.js';

/** A model that is loaded and has its inputs. */
export interface Opened {
  /** Runs it once. @returns its outputs */
  run(): Promise<Tensors>;
}

/** What is known of a model on a runtime before it is timed. */
export interface Loaded extends Opened {
  readonly loadSeconds: number;
  /** Largest relative RMS difference of an output from the reference; null for the reference itself. */
  readonly error: number | null;
}

/** Values of a tensor; null where they are no numbers that can be compared. */
function floatsOf({ type, data }: EngineTensor): Float32Array | null {
  // Where JavaScript has arrays of float16, a browser's ONNX Runtime returns those, and no bits.
  if (type === 'float16' && data instanceof Uint16Array) return Float32Array.from(data, halfToNumber);
  return type === 'float32' || type === 'float64' || type === 'float16' ? (data as Float32Array) : null;
}

/** What cannot be compared, or is not finite; a number, since JSON knows no infinity. */
export const DIFFERENT = Number.MAX_VALUE;

/** ‖got − expected‖ / ‖expected‖; the difference itself where zeros are expected. */
function relativeDifference(expected: Float32Array, got: Float32Array): number {
  if (expected.length !== got.length) return DIFFERENT;
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  const error = Math.sqrt(difference / (size || 1));
  return Number.isFinite(error) ? error : DIFFERENT;
}

/** The largest difference of an output that both have; other than floats must be equal. */
export function errorOf(expected: Tensors, got: Tensors): number {
  const differences = Object.entries(expected).flatMap(([name, reference]) => {
    const other = got[name];
    if (!other) return [];
    const [a, b] = [floatsOf(reference), floatsOf(other)];
    if (a && b) return [relativeDifference(a, b)];
    const isEqual =
      reference.data.length === other.data.length &&
      Array.from(reference.data as Int32Array).every((value, i) => value === other.data[i]);
    return [isEqual ? 0 : DIFFERENT];
  });
  return Math.max(0, ...differences);
}

const secondsSince = (began: number) => (performance.now() - began) / 1000;

/** Loads, runs once, and compares. @param reference what to compare with; nothing without it */
export async function load(open: () => Promise<Opened>, reference: Tensors | null): Promise<Loaded> {
  const began = performance.now();
  const { run } = await open();
  const loadSeconds = secondsSince(began);
  const outputs = await run();
  return { run, loadSeconds, error: reference && errorOf(reference, outputs) };
}

/** How long a runtime is timed: as many runs as are wanted, but where they are long fewer, within a time. */
export interface Patience {
  readonly rounds: number;
  readonly seconds: number;
}

/** Least number of runs, however long they take. */
const LEAST = 3;

export const isEnough = (done: readonly number[], { rounds, seconds }: Patience): boolean =>
  done.length >= rounds || (done.length >= LEAST && done.reduce((sum, value) => sum + value, 0) >= seconds);

/** Warms up, then runs until it is enough. @returns seconds of each run */
export async function timeRuns({ run }: Opened, patience: Patience): Promise<number[]> {
  await warmUp(run);
  const seconds: number[] = [];
  while (!isEnough(seconds, patience)) {
    const began = performance.now();
    await run();
    seconds.push(secondsSince(began));
  }
  return seconds;
}
