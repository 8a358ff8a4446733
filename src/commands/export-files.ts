import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toFloat16 } from '../../graphs/onnx/float16.js';
import { isKernel } from '../../graphs/passes/half-weights.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { UserError } from '../errors.js';
import { commitTogether, contentFile, isFolder, makeFolder } from '../files.js';
import type { Precision, PrecisionReport } from '../inference/precision.js';
import { randomStream } from '../random.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import type { EngineTensor } from '../runtime/engine.js';
import { genesisName } from '../weights/genesis-names.js';
import type { NamedTensor } from '../weights/safetensors.js';
import { readSafetensorsHeader, safetensorsFile } from '../weights/safetensors-file.js';
import { writeTriton } from './triton.js';

/** What the outputs of an exported model and of the training network may differ by, relatively. */
export const TOLERANCE = 1e-4;

export interface ExportFiles {
  readonly model: string;
  readonly weights: string;
  readonly card: string;
  /** Its folder in a Triton model repository; null where none was asked for. */
  readonly triton: string | null;
}

export interface TargetExportSummary extends ExportFiles {
  readonly step: number;
  /** Largest difference of the float32 model's probabilities to the training network's, relative to the largest one. */
  readonly error: number;
  /** What another precision costs and brings; null for float32. */
  readonly precision: PrecisionReport | null;
}

/** What a fine-tuned network is called. */
export const modelName = ({ kind }: Pick<FinetuneConfig, 'kind'>) =>
  kind === 'classification' ? 'classifier' : 'segmenter';

/** Images of noise over the range of intensities. */
export function noise(
  { channels, size: [x, y, z], type, window }: SampleFormat,
  seed: number,
  images: number,
): EngineTensor {
  const random = randomStream(seed, 'export check');
  const { low, high } = window ?? { low: 0, high: 1 };
  const length = images * channels * x * y * z;
  const data =
    type === 'int16'
      ? Int16Array.from({ length }, () => random.between(low, high))
      : Float32Array.from({ length }, () => random.between(low, high));
  return { type, shape: [images, channels, z, y, x], data };
}

/** The tensors of the network in a checkpoint, without the optimiser's state. */
export const networkTensors = ({ tensors }: Checkpoint) =>
  [...tensors].filter(([name]) => !name.startsWith('optimizer.'));

/** By name, as graphs take them. */
export const weightsOf = ({ tensors }: Checkpoint): Map<string, Float32Array> =>
  new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));

/** Largest difference of two results, relative to the largest value. @throws UserError when it is above the tolerance */
export function checkedDifference(expected: Float32Array, got: Float32Array, tolerance = TOLERANCE): number {
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-12);
  const error = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0) / scale;
  if (error <= tolerance) return error;
  throw new UserError('runtime', {
    what: 'the exported model does not give the same results as the trained network; nothing was written',
    got: `a relative difference of ${error}`,
    expected: `at most ${tolerance}`,
  });
}

const weightsPath = (out: string) => join(out, 'weights.safetensors');

/** The run that an export in a folder is of; null where that cannot be told. */
function exportedRun(out: string): string | null {
  try {
    return readSafetensorsHeader(weightsPath(out)).metadata.run_sha256 ?? null;
  } catch {
    return null;
  }
}

/**
 * The export of one run must not disappear because that of another goes to the same folder.
 * @param run see `runHash`
 * @throws UserError of kind `usage` when there is an export that is not known to be of this run
 */
export function refuseOverwriting(out: string, run: string): void {
  const files = isFolder(out) ? readdirSync(out) : [];
  const found = files.filter((name) => name === 'weights.safetensors' || name.endsWith('.onnx'));
  if (found.length === 0 || exportedRun(out) === run) return;
  throw new UserError('usage', {
    what: 'this folder contains the export of another run',
    where: out,
    got: found.join(', '),
    fix: 'choose another folder, or add --overwrite',
  });
}

export interface ExportContent {
  readonly model: Uint8Array;
  /** Of the model; with `float16-weights`, the kernels of the other file are stored in float16 too. */
  readonly precision?: Precision | undefined;
  readonly card: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** A Triton model repository to write it into as well. */
  readonly triton: string | undefined;
  /** Of a classifier with several outputs, the one that has a value a class; the first without it. */
  readonly scores?: string;
}

/** A tensor of a checkpoint, all of which are float32, as it is stored. */
function storedTensor(name: string, tensor: EngineTensor, precision: Precision | undefined): NamedTensor {
  const { shape } = tensor;
  const data = tensor.data as Float32Array;
  return precision === 'float16-weights' && isKernel(tensor)
    ? { name, dtype: 'F16', shape, data: toFloat16(data) }
    : { name, dtype: 'F32', shape, data };
}

/**
 * Writes `<name>.onnx`, `weights.safetensors` (not folded, with the names that Models Genesis' PyTorch code uses in its
 * metadata) and `model-card.md`, the model last.
 */
export function writeExport(
  out: string,
  name: string,
  checkpoint: Checkpoint,
  { model, precision, card, metadata, triton, scores }: ExportContent,
): ExportFiles {
  makeFolder(out);
  const paths = {
    weights: weightsPath(out),
    card: join(out, 'model-card.md'),
    model: join(out, `${name}.onnx`),
  };
  const tensors = networkTensors(checkpoint);
  const genesis = Object.fromEntries(
    tensors.flatMap(([own]) => (genesisName(own) ? [[own, genesisName(own)]] : [])),
  );
  commitTogether([
    () =>
      safetensorsFile(
        paths.weights,
        tensors.map(([own, tensor]) => storedTensor(own, tensor, precision)),
        { ...metadata, models_genesis_names: JSON.stringify(genesis) },
      ),
    () => contentFile([paths.card, card]),
    () => contentFile([paths.model, model]),
  ]);
  return { ...paths, triton: triton === undefined ? null : writeTriton(triton, name, model, scores) };
}
