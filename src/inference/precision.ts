/** Models that compute in float16 or with integers of 8 bits, and how far their results are from float32's. */
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Graph, Model } from '../../graphs/onnx/types.js';
import { halfPrecision } from '../../graphs/passes/half-precision.js';
import { halfWeights } from '../../graphs/passes/half-weights.js';
import { observed, quantised, type Range, rangesOf } from '../../graphs/passes/quantised.js';
import { UserError } from '../errors.js';
import { loadForSizes } from '../execution/inference-session.js';
import type { Engine, EngineTensor, Session, Tensors } from '../runtime/engine.js';

export const PRECISIONS = ['float32', 'float16-weights', 'float16', 'int8'] as const;
/**
 * What the feature maps and kernels of a model are: inputs and outputs are float32 (or int16) in any case. With `float16-weights`,
 * kernels are stored in float16 and computed with in float32.
 */
export type Precision = (typeof PRECISIONS)[number];

/** Least upper bounds of errors that are usual for a precision. */
export const USUAL_ERROR: Readonly<Record<Precision, number>> = {
  float32: 1e-4,
  'float16-weights': 0.01,
  float16: 0.01,
  int8: 0.1,
};

/** What became of a model. */
export interface PrecisionReport {
  readonly precision: Precision;
  /**
   * The largest root mean square difference of an output to float32's, over the images, relative to the root mean square of this
   * output over all images: one of air alone may have features of zeros.
   */
  readonly error: number;
  /** Share of probabilities on the other side of 0.5; null for a model without probabilities. */
  readonly changedDecisions: number | null;
  /** How many images were compared. */
  readonly images: number;
  readonly bytes: number;
  readonly float32Bytes: number;
  /** Medians of one image on this machine, in turns. */
  readonly seconds: number;
  readonly float32Seconds: number;
}

/** ‖got − expected‖² and ‖expected‖². */
function squares(
  expected: ArrayLike<number>,
  got: ArrayLike<number>,
): { readonly difference: number; readonly size: number } {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return { difference: expected.length === got.length ? difference : Number.POSITIVE_INFINITY, size };
}

const relative = (difference: number, size: number): number =>
  Math.sqrt(difference / Math.max(size, Number.MIN_VALUE));

/** ‖got − expected‖ / ‖expected‖, the root mean square of the difference relative to that of the expected values. */
export function relativeRms(expected: ArrayLike<number>, got: ArrayLike<number>): number {
  const { difference, size } = squares(expected, got);
  return relative(difference, size);
}

/** The widest of two ranges. */
const joined = (a: Range | undefined, b: Range): Range =>
  a ? { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) } : b;

/** The ranges of everything that is quantised, over images. */
async function observe(
  graph: Graph,
  input: string,
  images: readonly EngineTensor[],
  engine: Engine,
  threads: number,
): Promise<Map<string, Range>> {
  const session = await engine.load(encodeModel(toModel(observed(graph))), { threads });
  const ranges = new Map<string, Range>();
  try {
    for (const image of images) {
      for (const [name, range] of rangesOf(await session.run({ [input]: image })))
        ranges.set(name, joined(ranges.get(name), range));
    }
    return ranges;
  } finally {
    await session.release();
  }
}

/**
 * A float32 model in another precision, with that in its metadata.
 * @param calibration images of the data that it is for, [1, …]: int8 takes the ranges of all feature maps from them
 */
export async function withPrecision(
  model: Model,
  precision: Precision,
  calibration: readonly EngineTensor[],
  engine: Engine,
  threads: number,
): Promise<Model> {
  if (precision === 'float32') return model;
  const { graph, documentation, metadata } = model;
  const change = {
    'float16-weights': () => halfWeights(graph),
    float16: () => halfPrecision(graph),
    int8: async () =>
      quantised(graph, await observe(graph, graph.inputs[0]!.name, calibration, engine, threads)),
  };
  return toModel(await change[precision](), { documentation, metadata: { ...metadata, precision } });
}

const ROUNDS = 5;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

async function timed(session: Session, feeds: Tensors): Promise<number> {
  const began = performance.now();
  await session.run(feeds);
  return (performance.now() - began) / 1000;
}

/** Compares a model with the float32 model that it was made of. @param images [1, …], all of one size */
export async function comparePrecisions(
  float32: Model,
  other: Model,
  images: readonly EngineTensor[],
  engine: Engine,
  threads: number,
): Promise<PrecisionReport> {
  const [float32Bytes, bytes] = [encodeModel(float32), encodeModel(other)];
  const input = float32.graph.inputs[0]!.name;
  const shapes = { [input]: images[0]!.shape };
  const reference = await loadForSizes(float32, float32Bytes, shapes, engine, threads);
  const session = await loadForSizes(other, bytes, shapes, engine, threads);
  try {
    const errors = new Map<string, { largest: number; size: number }>();
    let changed = 0;
    let decisions = 0;
    for (const image of images) {
      const expected = await reference.run({ [input]: image });
      const got = await session.run({ [input]: image });
      for (const [name, { data }] of Object.entries(expected)) {
        const [before, after] = [data as Float32Array, got[name]!.data as Float32Array];
        const { difference, size } = squares(before, after);
        const known = errors.get(name) ?? { largest: 0, size: 0 };
        const largest = Number.isNaN(difference)
          ? Number.POSITIVE_INFINITY
          : Math.max(known.largest, difference);
        errors.set(name, { largest, size: known.size + size / images.length });
        if (name !== 'probabilities') continue;
        decisions += before.length;
        before.forEach((v, i) => {
          if (v > 0.5 !== after[i]! > 0.5) changed++;
        });
      }
    }
    const seconds: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      seconds[0].push(await timed(reference, { [input]: images[0]! }));
      seconds[1].push(await timed(session, { [input]: images[0]! }));
    }
    return {
      precision: (other.metadata.precision ?? 'float32') as Precision,
      error: Math.max(...[...errors.values()].map(({ largest, size }) => relative(largest, size))),
      changedDecisions: decisions > 0 ? changed / decisions : null,
      images: images.length,
      bytes: bytes.length,
      float32Bytes: float32Bytes.length,
      seconds: median(seconds[1]),
      float32Seconds: median(seconds[0]),
    };
  } finally {
    await reference.release();
    await session.release();
  }
}

/** @throws UserError of kind `runtime` for an error above a bound */
export function checkPrecision({ precision, error, images }: PrecisionReport, maxError: number): void {
  if (error <= maxError) return;
  throw new UserError('runtime', {
    what: `the ${precision} model differs too much from the float32 model; nothing was written`,
    got: `a relative RMS difference of ${error.toPrecision(3)} on ${images} images`,
    expected: `at most ${maxError}`,
    fix: `use float32${precision === 'int8' ? ' or float16' : ''}, or raise --max-error if this is good enough for you`,
  });
}
