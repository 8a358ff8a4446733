import { fastForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import { PRODUCER, toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Graph, type Model, sizeOf } from '../../graphs/onnx/types.js';
import { bindSizes } from '../../graphs/passes/bind-sizes.js';
import { fuseConvRelu } from '../../graphs/passes/fuse-conv-relu.js';
import { fuseUpsampleConv } from '../../graphs/passes/fuse-upsample-conv.js';
import { type SplitGraph, splitConstants } from '../../graphs/passes/split-constants.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { blockedLayout } from './blocked-layout.js';
import { loadWithSingleInterface } from './single-interface.js';

/** Models that compute in float32 throughout. */
const FLOAT32: readonly string[] = ['float32', 'float16-weights'];

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

/** Bytes of computed tensors that become part of the model: few enough for copies not to matter. */
const EMBEDDED_BYTES = 4e6;

/** A graph with values for some of its inputs. */
const withValues = (graph: Graph, values: Tensors): Graph => ({
  ...graph,
  inputs: graph.inputs.filter(({ name }) => !values[name]),
  initializers: new Map([...graph.initializers, ...Object.entries(values)]),
});

/**
 * Loads a graph of which much depends on stored tensors alone, such as weights in the order that a form wants. That is computed
 * once, here. Much of it is handed to every run: tensors inside a model would be copied, and copied again while it is loaded, which
 * takes several times their size. Little of it becomes part of the model: handing over dozens of tensors takes a tenth of a
 * millisecond, which a small network would notice.
 */
async function loadSplit(graph: Graph, engine: Engine, threads: number): Promise<Session> {
  const split = splitConstants(graph);
  const constants = await computed(split, engine, threads);
  const load = (rest: Graph) => engine.load(encodeModel(toModel(rest)), { threads, rewrite: 'nothing' });
  const bytes = Object.values(constants).reduce((sum, { data }) => sum + data.byteLength, 0);
  if (bytes <= EMBEDDED_BYTES) return load(withValues(split.rest, constants));
  const session = await load(split.rest);
  return { ...session, run: (feeds, into) => session.run({ ...constants, ...feeds }, into) };
}

/**
 * A stored model for inputs of known sizes on one engine: in the fastest forms where it is one of ours, in float32, and the engine
 * has more than the standard's operators, or as it is.
 * @param bytes the model, encoded
 * @param shapes of inputs, by name
 */
export async function loadForSizes(
  model: Model,
  bytes: Uint8Array,
  shapes: Readonly<Record<string, readonly number[]>>,
  engine: Engine,
  threads: number,
): Promise<Session> {
  const { graph, producer, metadata } = model;
  const isOurs = producer.name === PRODUCER.name && FLOAT32.includes(metadata.precision ?? 'float32');
  const blocked = isOurs ? await blockedLayout(engine) : null;
  if (!blocked) return loadWithSingleInterface(model, bytes, engine, { threads });
  const voxels = Math.max(...Object.values(shapes).map(sizeOf));
  // Chunks of one pair of slices need no copies of their neighbours. Small images stay in the cache as they are, in fewer operators.
  const chunk = voxels <= SMALL_IMAGE_VOXELS ? voxels : 1;
  const lowering = { choose: fastForms, blocked: { ...blocked, chunk } };
  const fused = fuseConvRelu(fuseUpsampleConv(bindSizes(graph, shapes)));
  const lowered = lower(fused, lowering);
  return loadSplit(lowered, engine, threads);
}
