/** What ONNX Runtime can do at most on this machine: multiply, and move. */
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { summarize } from '../../../graphs/onnx/summary.js';
import { type Graph, sizeOf, type Value } from '../../../graphs/onnx/types.js';
import { bytesOf } from '../../execution/memory.js';
import { nodeEngine } from '../../runtime/node.js';

export interface Peaks {
  /** In products of large matrices, or convolutions of images where these are faster. */
  readonly flopsPerSecond: number;
  /** Between memory and processor, reading and writing, of vectors that no cache holds. */
  readonly bytesPerSecond: number;
}

/** Operators in a row, so that starting a run does not count. */
const CHAIN = 8;
/** Runs of each, of which the fastest counts; one more goes before, which takes the memory. */
const RUNS = 5;

/** An operator over and over on what it gave; of the last result only a little comes out, as outputs are copied. */
function chain(shape: readonly number[], next: (g: GraphBuilder, value: Value) => Value): Graph {
  const g = new GraphBuilder('chain');
  let value = g.input('x', 'float32', shape);
  for (let i = 0; i < CHAIN; i++) value = next(g, value);
  g.output('some', g.slice(value, [0], [1], [0]));
  return g.build();
}

const constant = (g: GraphBuilder, shape: readonly number[]): Value =>
  g.constant({ type: 'float32', shape, data: new Float32Array(sizeOf(shape)).fill(1e-3) });

const products = () => chain([1024, 1024], (g, x) => g.add('MatMul', [x, constant(g, [1024, 1024])]));
const convolutions = () =>
  chain([1, 64, 128, 128], (g, x) =>
    g.add('Conv', [x, constant(g, [64, 64, 3, 3])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  );
/** Of a vector with itself: it is read, and the sum is written. */
const sums = () => chain([2 ** 24], (g, x) => g.add('Add', [x, x]));

/** Least seconds of a run. */
async function leastSeconds(graph: Graph, threads: number): Promise<number> {
  const session = await nodeEngine.load(encodeModel(toModel(graph)), { threads });
  const shape = graph.inputs[0]!.shape as readonly number[];
  const x = { type: 'float32' as const, shape, data: new Float32Array(sizeOf(shape)).fill(1e-3) };
  let least = Number.POSITIVE_INFINITY;
  try {
    for (let run = 0; run <= RUNS; run++) {
      const start = performance.now();
      await session.run({ x });
      if (run > 0) least = Math.min(least, (performance.now() - start) / 1000);
    }
  } finally {
    await session.release();
  }
  return least;
}

/** Measures what the machine can do now. */
export async function measurePeaks(threads: number): Promise<Peaks> {
  const speed = async (graph: Graph) => summarize(graph).flops / (await leastSeconds(graph, threads));
  const additions = sums();
  const moved = 2 * CHAIN * bytesOf(additions.inputs);
  return {
    flopsPerSecond: Math.max(await speed(products()), await speed(convolutions())),
    bytesPerSecond: moved / (await leastSeconds(additions, threads)),
  };
}

/** The better of two measurements: other programs can only have slowed either. */
export const betterPeaks = (a: Peaks, b: Peaks): Peaks => ({
  flopsPerSecond: Math.max(a.flopsPerSecond, b.flopsPerSecond),
  bytesPerSecond: Math.max(a.bytesPerSecond, b.bytesPerSecond),
});
