/**
 * A model as a folder of a Triton model repository: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model
 * Repository" and "Model Configuration". KServe's and other servers of the same layout read it too.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import type { ElementType, Model, Value } from '../../graphs/onnx/types.js';
import { fromSystemError } from '../errors.js';
import { makeFolder, temporaryBeside, writeFileAtomic } from '../files.js';

/** Samples that the server may join into one run at most. */
const MAX_BATCH = 8;
/** How long a request may wait for others to join it. */
const QUEUE_MICROSECONDS = 2000;

const DATA_TYPES: Readonly<Record<ElementType, string>> = {
  bool: 'TYPE_BOOL',
  uint8: 'TYPE_UINT8',
  int8: 'TYPE_INT8',
  int16: 'TYPE_INT16',
  int32: 'TYPE_INT32',
  int64: 'TYPE_INT64',
  uint16: 'TYPE_UINT16',
  uint32: 'TYPE_UINT32',
  uint64: 'TYPE_UINT64',
  bfloat16: 'TYPE_BF16',
  float16: 'TYPE_FP16',
  float32: 'TYPE_FP32',
  float64: 'TYPE_FP64',
};

const LABELS = 'classes.txt';
const MODEL = 'model.onnx';

/** Whether images can be joined: a model for a fixed number of them takes these only. */
const isBatched = (model: Model): boolean => typeof givenInputs(model.graph)[0]!.shape[0] !== 'number';

/** The sizes that are stated: those of the batch are Triton's own where it joins images. */
const statedShape = (model: Model, { shape }: Value) => (isBatched(model) ? shape.slice(1) : shape);

/** What a tensor is; a size that is not fixed is −1. */
const tensorText = (model: Model, value: Value, more = ''): string =>
  `  {
    name: ${JSON.stringify(value.name)}
    data_type: ${DATA_TYPES[value.type]}
    dims: [ ${statedShape(model, value)
      .map((size) => (typeof size === 'number' ? size : -1))
      .join(', ')} ]${more}
  }`;

/** Sizes of an image for the first run: those that the network was trained on. */
function warmUpDims(model: Model): number[] {
  const { metadata } = model;
  const trained = metadata.tile_size ?? metadata.sample_size ?? metadata.size_multiple!;
  const sizes = trained.split('x').map(Number).toReversed();
  const shape = statedShape(model, givenInputs(model.graph)[0]!);
  return shape.map((size, i) => (typeof size === 'number' ? size : sizes.at(i - shape.length)!));
}

/**
 * `config.pbtxt`: the ModelConfig message as text.
 * @param labelled the output whose values have names, in a file; null for a model without
 */
export function tritonConfig(name: string, model: Model, labelled: string | null): string {
  const { outputs } = model.graph;
  const [input] = givenInputs(model.graph) as [Value];
  const labels = `\n    label_filename: "${LABELS}"`;
  const batching = `dynamic_batching {
  max_queue_delay_microseconds: ${QUEUE_MICROSECONDS}
}
`;
  return `name: "${name}"
backend: "onnxruntime"
max_batch_size: ${isBatched(model) ? MAX_BATCH : 0}
input [
${tensorText(model, input)}
]
output [
${outputs.map((output) => tensorText(model, output, output.name === labelled ? labels : '')).join(',\n')}
]
${isBatched(model) ? batching : ''}model_warmup [
  {
    name: "one image of the size of training"
    batch_size: 1
    inputs {
      key: ${JSON.stringify(input.name)}
      value {
        data_type: ${DATA_TYPES[input.type]}
        dims: [ ${warmUpDims(model).join(', ')} ]
        random_data: true
      }
    }
  }
]
`;
}

/** The version that a model is written as: that which it is already, an empty one, or the next. */
function versionOf(folder: string, model: Uint8Array): number {
  const versions = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /^[1-9]\d*$/.test(name))
        .map(Number)
    : [];
  const latest = Math.max(0, ...versions);
  const version = join(folder, String(latest));
  const isEmpty = latest > 0 && readdirSync(version).length === 0;
  const path = join(version, MODEL);
  return isEmpty || (existsSync(path) && readFileSync(path).equals(model)) ? latest : latest + 1;
}

/**
 * Writes `<name>/config.pbtxt`, `<name>/<version>/model.onnx` and, for a classifier, the names of its classes into a model
 * repository. Another model of the same name becomes the next version; the model comes last.
 * @param scores the output of a classifier that has a value a class; the first without it
 * @returns the model's folder
 */
export function writeTriton(repository: string, name: string, bytes: Uint8Array, scores?: string): string {
  const folder = join(repository, name);
  const model = decodeModel(bytes);
  const isClassifier = name === 'classifier';
  const version = join(folder, String(versionOf(folder, bytes)));
  makeFolder(folder);
  const isThere = existsSync(join(version, MODEL));
  const beside = temporaryBeside(version);
  try {
    if (!isThere) {
      makeFolder(beside);
      writeFileAtomic(join(beside, MODEL), bytes);
    }
    const labels = isClassifier ? (JSON.parse(model.metadata.classes!) as string[]) : null;
    if (labels) writeFileAtomic(join(folder, LABELS), `${labels.join('\n')}\n`);
    const output = labels ? (scores ?? model.graph.outputs[0]!.name) : null;
    writeFileAtomic(join(folder, 'config.pbtxt'), tritonConfig(name, model, output));
    // A server may look at any moment: the folder of a version appears with its model.
    if (!isThere) {
      if (existsSync(version)) rmdirSync(version);
      renameSync(beside, version);
    }
  } catch (error) {
    throw fromSystemError(error, version);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
  return folder;
}
