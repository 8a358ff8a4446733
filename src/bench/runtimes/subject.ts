/** What is run on every runtime: a model of a file or a preset, its inputs, and the same in other precisions. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import { GraphError, type Model } from '../../../graphs/onnx/types.js';
import { floatInputs } from '../../../graphs/passes/float-inputs.js';
import { halfPrecision } from '../../../graphs/passes/half-precision.js';
import { observed, quantised, rangesOf } from '../../../graphs/passes/quantised.js';
import { type PresetName, resolveConfig } from '../../config/pretraining.js';
import { fromSystemError, UserError } from '../../errors.js';
import type { Precision } from '../../inference/precision.js';
import { refuseExternal } from '../../onnx-file.js';
import type { EngineTensor, Tensors } from '../../runtime/engine.js';
import { nodeEngine, readSignature } from '../../runtime/node.js';
import { mapTensors } from '../../runtime/ort.js';
import { makeWorkload } from '../engines/workload.js';
import { exportedEncoder } from '../workloads/encoder.js';
import { USUAL_BATCH } from '../workloads/workload.js';
import { ARTIFACTS, writeTensors } from './job.js';
import { inputsFor, type Sizes } from './signature.js';

export interface Subject {
  readonly title: string;
  /** What of it can be changed; or why nothing can. */
  readonly model: Model | { readonly unreadable: string };
  readonly bytes: Uint8Array;
  readonly inputs: Tensors;
  /** Of the training interface. */
  readonly artifacts?: Readonly<Record<string, Uint8Array>>;
}

/** A model as data; null where it has more than this package knows, though a runtime may run it. */
function decoded(bytes: Uint8Array, path: string): Subject['model'] {
  let model: Model;
  try {
    model = decodeModel(bytes, () => null);
  } catch (error) {
    if (error instanceof GraphError) return { unreadable: error.message };
    throw error;
  }
  refuseExternal(model, path);
  return model;
}

/** Sizes of our own exports, which say what they were trained on. */
function ownSizes(model: Subject['model']): Sizes {
  if ('unreadable' in model) return {};
  const { tile_size, sample_size } = model.metadata;
  const [w, h, d] = (tile_size ?? sample_size ?? '').split('x').map(Number);
  return w && h && d ? { W: [w], H: [h], D: [d] } : {};
}

/** WebGPU has no integers of 8 and 16 bits: all runtimes are given floats in their place, where that can be done. */
function withFloats(model: Subject['model'], bytes: Uint8Array): Pick<Subject, 'model' | 'bytes'> {
  if ('unreadable' in model || !model.graph.inputs.some(({ type }) => type === 'int16' || type === 'uint8'))
    return { model, bytes };
  try {
    const floats = { ...model, graph: floatInputs(model.graph) };
    return { model: floats, bytes: encodeModel(floats) };
  } catch (error) {
    if (error instanceof GraphError) return { model, bytes };
    throw error;
  }
}

/** A model of a file. @throws UserError when it cannot be read, or its inputs cannot be made */
export async function subjectOfFile(path: string, sizes: Sizes): Promise<Subject> {
  let file: Uint8Array;
  try {
    file = new Uint8Array(readFileSync(path));
  } catch (error) {
    throw fromSystemError(error, path);
  }
  const original = decoded(file, path);
  const { model, bytes } = withFloats(original, file);
  const signature = await readSignature(file);
  const known = Object.entries(ownSizes(original)).filter(([name]) =>
    signature.some(({ shape }) => shape.includes(name)),
  );
  const inputs = inputsFor(signature, { ...Object.fromEntries(known), ...sizes });
  return {
    title: basename(path),
    model,
    bytes,
    inputs: bytes === file ? inputs : mapTensors(inputs, asFloats),
  };
}

const asFloats = (tensor: EngineTensor): EngineTensor =>
  tensor.type === 'int16' || tensor.type === 'uint8'
    ? { ...tensor, type: 'float32', data: Float32Array.from(tensor.data as Int16Array) }
    : tensor;

/** Of a preset. */
export interface PresetOptions {
  readonly preset?: PresetName;
  /** An encoder, or a training step; the former without it. */
  readonly mode?: 'inference' | 'training';
  /** {@link USUAL_BATCH} without it. */
  readonly batch?: number;
  readonly threads: number;
}

/** An encoder with untrained weights, or a training step on a phantom. */
export async function subjectOfPreset({
  preset = 'tiny',
  mode = 'inference',
  batch = USUAL_BATCH,
  threads,
}: PresetOptions): Promise<Subject> {
  if (mode === 'training') {
    const { step, artifacts, state, batches, learningRate } = makeWorkload([`preset=${preset}`], {
      ...{ preset, batch, steps: 1, threads },
    });
    const scalar = (value: number): EngineTensor => ({
      type: 'float32',
      shape: [],
      data: Float32Array.of(value),
    });
    const model = decodeModel(step);
    const feeds: Tensors = { ...state, ...batches[0]!, learning_rate: scalar(learningRate), step: scalar(1) };
    return {
      title: `training step, ${preset}, batch ${batch}`,
      model,
      bytes: step,
      inputs: Object.fromEntries(model.graph.inputs.map(({ name }) => [name, feeds[name]!])),
      artifacts: { ...artifacts },
    };
  }
  const config = resolveConfig({ preset });
  const bytes = exportedEncoder(config);
  const [w, h, d] = config.whole;
  const inputs = inputsFor(await readSignature(bytes), { N: [batch], W: [w], H: [h], D: [d] });
  return { title: `encoder, ${preset}, batch ${batch}`, model: decodeModel(bytes), bytes, inputs };
}

/** A model in another precision. @throws UserError when it cannot be made, or would be the same */
async function inPrecision({ model, inputs }: Subject, precision: Precision): Promise<Uint8Array> {
  const unchanged = (what: string) => new UserError('input', { what });
  if ('unreadable' in model) throw unchanged(model.unreadable);
  const { graph } = model;
  try {
    if (precision === 'float16') return encodeModel(toModel(halfPrecision(graph), model));
    const ranges = observed(graph);
    if (ranges.outputs.length === 0)
      throw unchanged('there is no convolution with a ReLU behind it to quantise');
    const session = await nodeEngine.load(encodeModel(toModel(ranges)), { threads: 0 });
    const outputs = await session.run(inputs).finally(() => session.release());
    return encodeModel(toModel(quantised(graph, rangesOf(outputs)), model));
  } catch (error) {
    if (error instanceof GraphError) throw unchanged(error.message);
    throw error;
  }
}

export const fileOf = (precision: Precision): string => `${precision}.onnx`;

/** The model in all precisions, its inputs and artifacts, where processes find them. @returns why some precisions are not there */
export async function writeSubject(folder: string, subject: Subject): Promise<Map<Precision, string>> {
  const missing = new Map<Precision, string>();
  writeFileSync(join(folder, fileOf('float32')), subject.bytes);
  writeTensors(folder, 'inputs', subject.inputs);
  for (const name of ARTIFACTS)
    if (subject.artifacts) writeFileSync(join(folder, `artifacts-${name}`), subject.artifacts[name]!);
  if (subject.artifacts) return missing;
  for (const precision of ['float16', 'int8'] as const) {
    try {
      writeFileSync(join(folder, fileOf(precision)), await inPrecision(subject, precision));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      missing.set(precision, error.facts.what);
    }
  }
  return missing;
}
