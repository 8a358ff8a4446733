import { type ChooseForm, plainForms } from '../../graphs/forms/index.js';
import type { BlockedLayout } from '../../graphs/forms/layout.js';
import { lower } from '../../graphs/forms/lower.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Graph } from '../../graphs/onnx/types.js';
import { blockedLayout } from '../../src/execution/blocked-layout.js';
import type { Engine, Tensors } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';

/** Lowers, encodes and loads a graph once, and runs it on each of several inputs. */
export async function runOnEach(
  graph: Graph,
  inputs: readonly Tensors[],
  choose: ChooseForm = plainForms,
  blocked?: BlockedLayout | null,
  engine: Engine = nodeEngine,
): Promise<Tensors[]> {
  const session = await engine.load(
    encodeModel(toModel(lower(graph, { choose, blocked: blocked ?? (await blockedLayout(engine)) }))),
    { threads: 1 },
  );
  try {
    const results: Tensors[] = [];
    for (const feeds of inputs) results.push(await session.run(feeds));
    return results;
  } finally {
    await session.release();
  }
}

/** Lowers, encodes and runs a graph once. */
export const runGraph = async (
  graph: Graph,
  feeds: Tensors,
  ...how: [ChooseForm?, (BlockedLayout | null)?, Engine?]
): Promise<Tensors> => (await runOnEach(graph, [feeds], ...how))[0]!;

/** The hash noise of `golden/make_golden.py`: values in [offset − scale, offset + scale). */
export function noise(count: number, seed: number, scale = 1, offset = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    let h = (Math.imul(i, 2654435761) + seed * 40503) >>> 0;
    h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 3266489917) >>> 0;
    h = (h ^ (h >>> 16)) >>> 0;
    return ((h >>> 8) / 2 ** 24) * 2 * scale - scale + offset;
  });
}

/** Largest difference, relative to the largest expected value. */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(got[i]! - expected[i]!));
    size = Math.max(size, Math.abs(expected[i]!));
  }
  return got.length === expected.length ? difference / Math.max(size, 1e-30) : Number.POSITIVE_INFINITY;
}

/** How far results are from the expected ones, for each of several inputs, smallest first. */
export const errorsOf = (results: readonly Tensors[], expected: readonly Tensors[]): number[] =>
  expected
    .map((tensors, i) =>
      Math.max(
        ...Object.entries(tensors).map(([name, { data }]) =>
          relativeError(results[i]![name]!.data as Float32Array, data as Float32Array),
        ),
      ),
    )
    .sort((a, b) => a - b);
