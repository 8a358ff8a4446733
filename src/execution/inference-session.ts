import { fastForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import { PRODUCER, toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Graph, type Model, sizeOf } from '../../graphs/onnx/types.js';
import { bindSizes } from '../../graphs/passes/bind-sizes.js';
import { fuseConvRelu } from '../../graphs/passes/fuse-conv-relu.js';
import { fuseUpsampleConv } from '../../graphs/passes/fuse-upsample-conv.js';
import { padChannels } from '../../graphs/passes/pad-channels.js';
import { type SplitGraph, splitConstants } from '../../graphs/passes/split-constants.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { blockedLayout } from './blocked-layout.js';

/** Of `tiny`. */
const SMALL_IMAGE_VOXELS = 32 * 32 * 16;

/** What is computed of stored tensors alone. */
async function computed(
  { constants, stored }: SplitGraph,
  engine: Engine,
  threads: number,
): Promise<Tensors> {
  if (constants.outputs.length === 0) return {};
  const session = await engine.load(encodeModel(toModel(constants)), { threads, rewrite: 'nothing' });
  try {
    return await session.run(Object.fromEntries(stored));
  } finally {
    await session.release();
  }
}

/**
 * Loads a graph of which much depends on stored tensors alone, such as weights in the order that a form wants. That is computed
 * once, here, and handed to every run: tensors inside a model would be copied, and copied again while it is loaded, which takes
 * several times their size.
 */
async function loadSplit(graph: Graph, engine: Engine, threads: number): Promise<Session> {
  const split = splitConstants(graph);
  const constants = await computed(split, engine, threads);
  const session = await engine.load(encodeModel(toModel(split.rest)), { threads, rewrite: 'nothing' });
  return { ...session, run: (feeds, into) => session.run({ ...constants, ...feeds }, into) };
}

/**
 * A stored model for inputs of known sizes on one engine: in the fastest forms where it is one of ours, in float32, and the engine
 * has more than the standard's operators, or as it is.
 * @param bytes the model, encoded
 * @param shapes of inputs, by name
 */
export async function loadForSizes(
  { graph, producer, metadata }: Model,
  bytes: Uint8Array,
  shapes: Readonly<Record<string, readonly number[]>>,
  engine: Engine,
  threads: number,
): Promise<Session> {
  const isOurs = producer.name === PRODUCER.name && (metadata.precision ?? 'float32') === 'float32';
  const blocked = isOurs ? await blockedLayout(engine) : null;
  if (!blocked) return engine.load(bytes, { threads });
  const voxels = Math.max(...Object.values(shapes).map(sizeOf));
  // Chunks of one pair of slices need no copies of their neighbours. Small images stay in the cache as they are, in fewer operators.
  const chunk = voxels <= SMALL_IMAGE_VOXELS ? voxels : 1;
  const lowering = { choose: fastForms, blocked: { ...blocked, chunk } };
  const fused = fuseConvRelu(fuseUpsampleConv(bindSizes(graph, shapes)));
  const lowered = lower(padChannels(fused, blocked.block), lowering);
  return loadSplit(lowered, engine, threads);
}
