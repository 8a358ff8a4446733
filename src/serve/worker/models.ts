/** Models as a worker holds them: verified, ready to run, and shared by requests. */
import { SELF_TEST } from '../../../graphs/imported/metadata.js';
import { checkModel } from '../../commands/whole-scans.js';
import { UserError } from '../../errors.js';
import { type ImageModel, openImageModel } from '../../inference/image-model.js';
import { checkedWindows } from '../../inference/predict-scan.js';
import { classesOf } from '../../inference/segmentation.js';
import { runSelfTest } from '../../inference/self-test.js';
import { readModelFile } from '../../onnx-file.js';
import type { Engine } from '../../runtime/engine.js';
import type { ModelFacts, ModelFile, TensorFacts } from '../jobs.js';
import { measureBatch, sharingBatches } from './batching.js';

export interface WorkingModel {
  readonly facts: ModelFacts;
  /** Takes one window at a time. */
  readonly image: ImageModel;
  /** Windows that it computes at once. */
  readonly batch: number;
}

export interface OpenOptions {
  readonly engine: Engine;
  readonly threads: number;
  /** Windows that are computed at once; null for what is fastest. */
  readonly batch: number | null;
  /** Is told of each batch how many windows it had. */
  readonly onBatch: (windows: number) => void;
}

/** @returns the largest difference to the results at export; null for a model that has no self-test  @throws UserError when it is too large */
async function selfTestError({ name, path }: ModelFile, engine: Engine): Promise<number | null> {
  const { bytes, model } = readModelFile(path);
  const result = await runSelfTest(model, bytes, engine, name);
  if (!result) return null;
  const error = Math.max(...Object.values(result.errors));
  if (error <= result.tolerance) return error;
  throw new UserError('input', {
    what: 'the results of this model on this machine differ from those at export',
    where: name,
    got: `a relative RMS difference of ${error}`,
    expected: `at most ${result.tolerance}`,
  });
}

/** A tensor whose sizes are those of windows. */
const tensorFacts = (
  name: string,
  type: TensorFacts['type'],
  shape: readonly (number | string)[],
): TensorFacts => ({
  name,
  type,
  shape: shape.map((size) => (typeof size === 'number' ? size : -1)),
});

/** A model's input of windows, [N, D, H, W] or [N, 1, D, H, W]. */
const windowShape = ({ channels }: ImageModel, [x, y, z]: ModelFacts['window']): number[] =>
  channels === null ? [-1, z, y, x] : [-1, 1, z, y, x];

/** @throws UserError for results that are not finite */
async function checkRuns(image: ImageModel, shape: readonly number[], name: string): Promise<void> {
  const outputs = await image.run(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const bad = Object.entries(outputs).find(
    ([, { data }]) => !(data as Float32Array).every((value) => Number.isFinite(value)),
  );
  if (bad)
    throw new UserError('input', {
      what: 'the results of the model are not finite',
      where: name,
      got: `NaN or infinity in its output "${bad[0]}" for an image of zeros`,
    });
}

/**
 * Opens a model and makes sure that it works: its self-test where it has one, and one run of the size that it is used with, which
 * makes it ready.
 * @throws UserError when it does not, or is of no use for scans
 */
export async function openServedModel(file: ModelFile, options: OpenOptions): Promise<WorkingModel> {
  const { engine, threads, onBatch } = options;
  const error = await selfTestError(file, engine);
  const image = openImageModel(file.path, engine, threads);
  checkModel(image, file.kind ?? image.kind);
  const { window } = checkedWindows(image, {}, 0);
  const input = windowShape(image, window);
  await checkRuns(image, input.with(0, 1), file.name);
  // One window takes all cores of a CPU: there is nothing to gain, and nothing to measure.
  const fastest = () => (engine.provider === 'cpu' ? 1 : measureBatch(image, input.with(0, 1)));
  const batch = options.batch ?? (await fastest());
  const { kind, sha256, spacing, normalise } = image;
  const { [SELF_TEST]: _, ...metadata } = image.metadata;
  const facts: ModelFacts = {
    ...{ name: file.name, kind, sha256, window, spacing, normalise, metadata, selfTestError: error },
    classes: kind === 'classifier' || kind === 'segmenter' ? classesOf(image) : [],
    inputs: [tensorFacts(image.input.name, image.input.type, input)],
    outputs: [...image.outputs].map(([name, shape]) => tensorFacts(name, 'float32', shape)),
  };
  return { facts, batch, image: sharingBatches(image, batch, onBatch) };
}
