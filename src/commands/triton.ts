/**
 * A model as a folder of a Triton model repository: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model
 * Repository" and "Model Configuration". KServe's and other servers of the same layout read it too.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel } from '../../graphs/onnx/schema.js';
import type { Model, Value } from '../../graphs/onnx/types.js';
import { makeFolder, writeFileAtomic } from '../files.js';

/** Samples that the server may join into one run at most. */
const MAX_BATCH = 8;
/** How long a request may wait for others to join it. */
const QUEUE_MICROSECONDS = 2000;

const DATA_TYPES: Readonly<Record<string, string>> = { float32: 'TYPE_FP32', int16: 'TYPE_INT16' };

const LABELS = 'classes.txt';

/** What a tensor is, without its batch axis; a size that is not fixed is −1. */
const tensorText = ({ name, type, shape }: Value, more = ''): string =>
  `  {
    name: "${name}"
    data_type: ${DATA_TYPES[type]}
    dims: [ ${shape
      .slice(1)
      .map((size) => (typeof size === 'number' ? size : -1))
      .join(', ')} ]${more}
  }`;

/** Sizes of an image for the first run: those that the network was trained on. */
function warmUpDims({ graph, metadata }: Model): number[] {
  const trained = metadata.tile_size ?? metadata.sample_size ?? metadata.size_multiple!;
  const sizes = trained.split('x').map(Number).toReversed();
  const { shape } = graph.inputs[0]!;
  return shape.slice(1).map((size, i) => (typeof size === 'number' ? size : sizes[i - (shape.length - 4)]!));
}

/** `config.pbtxt`: the ModelConfig message as text. @param labels a file with the names of classes, for a classifier */
export function tritonConfig(name: string, model: Model, labels: boolean): string {
  const { inputs, outputs } = model.graph;
  const [input] = inputs as [Value];
  const withLabels = labels ? `\n    label_filename: "${LABELS}"` : '';
  return `name: "${name}"
backend: "onnxruntime"
max_batch_size: ${MAX_BATCH}
input [
${tensorText(input)}
]
output [
${outputs.map((output) => tensorText(output, withLabels)).join(',\n')}
]
dynamic_batching {
  max_queue_delay_microseconds: ${QUEUE_MICROSECONDS}
}
model_warmup [
  {
    name: "one image of the size of training"
    batch_size: 1
    inputs {
      key: "${input.name}"
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

/** The version that a model is written as: that which it is already, or the next. */
function versionOf(folder: string, model: Uint8Array): number {
  const versions = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /^[1-9]\d*$/.test(name))
        .map(Number)
    : [];
  const latest = Math.max(0, ...versions);
  const path = join(folder, String(latest), 'model.onnx');
  return existsSync(path) && readFileSync(path).equals(model) ? latest : latest + 1;
}

/**
 * Writes `<name>/config.pbtxt`, `<name>/<version>/model.onnx` and, for a classifier, the names of its classes into a model
 * repository. Another model of the same name becomes the next version; the model comes last.
 * @returns the model's folder
 */
export function writeTriton(repository: string, name: string, bytes: Uint8Array): string {
  const folder = join(repository, name);
  const model = decodeModel(bytes);
  const isClassifier = name === 'classifier';
  const version = join(folder, String(versionOf(folder, bytes)));
  makeFolder(version);
  if (isClassifier) {
    const classes = JSON.parse(model.metadata.classes!) as string[];
    writeFileAtomic(join(folder, LABELS), `${classes.join('\n')}\n`);
  }
  writeFileAtomic(join(folder, 'config.pbtxt'), tritonConfig(name, model, isClassifier));
  writeFileAtomic(join(version, 'model.onnx'), bytes);
  return folder;
}
