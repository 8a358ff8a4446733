import { fastForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import { PRODUCER, toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Model } from '../../graphs/onnx/types.js';
import { bindSizes } from '../../graphs/passes/bind-sizes.js';
import { fuseConvRelu } from '../../graphs/passes/fuse-conv-relu.js';
import { fuseUpsampleConv } from '../../graphs/passes/fuse-upsample-conv.js';
import type { Engine, Session } from '../runtime/engine.js';
import { blockedLayout } from './blocked-layout.js';

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
  // In chunks of one pair of slices, which need no copies of their neighbours.
  const lowering = { choose: fastForms, blocked: { ...blocked, chunk: 1 } };
  const lowered = lower(fuseConvRelu(fuseUpsampleConv(bindSizes(graph, shapes))), lowering);
  return engine.load(encodeModel(toModel(lowered)), { threads, rewrite: 'constants' });
}
