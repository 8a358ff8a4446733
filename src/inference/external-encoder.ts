/** Any ONNX encoder as the frozen source of features. */
import { completeWeights, exportTrained } from '../../graphs/imported/export-trained.js';
import { importModel } from '../../graphs/imported/import-model.js';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { formatShape, type Model, type Node } from '../../graphs/onnx/types.js';
import type { SampleEntry } from '../data/samples/manifest.js';
import { readSample, type SampleStore } from '../data/samples/store.js';
import { UserError } from '../errors.js';
import { loadWithSingleInterface } from '../execution/single-interface.js';
import { ofFile } from '../of-file.js';
import { readModelFile, refuseExternal } from '../onnx-file.js';
import { type Reporter, silent } from '../progress.js';
import type { Engine, EngineTensor } from '../runtime/engine.js';
import { adaptedVoxels, EXPECTED_INPUT, imageAdapter } from './image-adapter.js';

/** Feature vectors of all samples of a store. */
export interface ExternalFeatures {
  readonly dimensions: number;
  /** By the sample's id. */
  readonly rows: ReadonlyMap<string, Float32Array>;
}

const EXPECTED = `${EXPECTED_INPUT}, and an output with features or a feature map`;

/** A feature map [1,C,…] averaged over its positions. @throws UserError for what is neither that nor a vector */
function pooled({ data, shape }: EngineTensor, name: string, where: string): Float32Array {
  // Of three axes it is not known which are features: tokens come before theirs, positions behind.
  if (shape.length === 3)
    throw new UserError('input', {
      what: `the output "${name}" of the model is neither features nor a feature map`,
      where,
      got: formatShape(shape),
      expected: '[N,features], or a feature map [N,features,…] of two or three axes',
      fix: 'export the model with such an output, or with one that is called `features`',
    });
  const values = data as Float32Array;
  const channels = shape[1] ?? values.length;
  const positions = values.length / channels;
  return Float32Array.from({ length: channels }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < positions; i++) sum += values[c * positions + i]!;
    return sum / positions;
  });
}

/** Whether a node does in training what it must not do where features are wanted: drop values, or use the batch's statistics. */
const isOfTraining = ({ operator, inputs, attributes }: Node): boolean => {
  const mode = attributes.training_mode;
  return (
    (operator === 'Dropout' && Boolean(inputs[2])) ||
    (operator === 'BatchNormalization' && mode?.kind === 'int' && mode.value === 1)
  );
};

/** A model that was exported as in training, as in inference; any other as it is. @throws UserError where it cannot be changed */
function inInference(path: string, bytes: Uint8Array, model: Model, { input, shape }: ImageAdapter) {
  const nodes = [...model.graph.nodes, ...(model.functions ?? []).flatMap((called) => called.nodes)];
  if (!nodes.some(isOfTraining)) return { bytes, model };
  const changed = ofFile(
    path,
    () => {
      const imported = importModel(bytes, { inputs: { [input]: [1, ...shape] }, freeze: () => true });
      return exportTrained(bytes, imported, completeWeights(imported, new Map()));
    },
    'it was exported as in training; export it in evaluation mode',
  );
  return { bytes: changed, model: decodeModel(changed) };
}

/**
 * Runs a model on every sample, one by one: see {@link imageAdapter}.
 * @throws UserError when the file is no encoder, or does not take the samples
 */
export async function externalFeatures(
  path: string,
  store: SampleStore,
  engine: Engine,
  threads: number,
  reporter: Reporter = silent,
): Promise<ExternalFeatures> {
  const file = readModelFile(path, EXPECTED);
  refuseExternal(file.model, path);
  const { samples } = store.manifest;
  const adapter = imageAdapter(path, file.model, store.manifest);
  const { bytes, model } = inInference(path, file.bytes, file.model, adapter);
  const { outputs } = model.graph;
  const output = outputs.find(({ name }) => name === 'features') ?? outputs[0];
  if (!output) throw new UserError('input', { what: 'this model has no outputs', where: path });
  const { input, type, shape } = adapter;
  const session = await loadWithSingleInterface(model, bytes, engine, { threads });
  const progress = reporter.start({ label: 'features', total: samples.length, unit: 'samples' });
  const rows = new Map<string, Float32Array>();
  try {
    for (const [i, sample] of samples.entries()) {
      const data = adaptedVoxels(readSample(store, sample).image, adapter);
      const out = await session.run({ [input]: { type, shape: [1, ...shape], data } });
      rows.set(sample.id, pooled(out[output.name]!, output.name, path));
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
    await session.release();
  }
  return { dimensions: rows.get(samples[0]!.id)!.length, rows };
}

/**
 * Features with mean 0 and standard deviation 1 over some samples, so that layers behind them learn equally fast whatever the
 * encoder's scale is. A feature that is the same for all of them becomes 0 there.
 */
export function standardised(
  { dimensions, rows }: ExternalFeatures,
  samples: readonly SampleEntry[],
): ExternalFeatures {
  const [sums, squares] = [new Float64Array(dimensions), new Float64Array(dimensions)];
  for (const { id } of samples) {
    const row = rows.get(id)!;
    for (let i = 0; i < dimensions; i++) sums[i]! += row[i]!;
  }
  const means = sums.map((sum) => sum / samples.length);
  for (const { id } of samples) {
    const row = rows.get(id)!;
    for (let i = 0; i < dimensions; i++) squares[i]! += (row[i]! - means[i]!) ** 2;
  }
  const scales = squares.map((sum) => 1 / (Math.sqrt(sum / samples.length) || 1));
  const change = (row: Float32Array) => row.map((value, i) => (value - means[i]!) * scales[i]!);
  return { dimensions, rows: new Map([...rows].map(([id, row]) => [id, change(row)])) };
}
