/** Of which numbers the sizes of images must be multiples for a model that was made elsewhere. */
import { featuresOf, type TargetHead } from '../../graphs/objectives/imported-target.js';
import type { Model } from '../../graphs/onnx/types.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { imageAdapter } from '../inference/image-adapter.js';
import { importFor, type TrainedFile } from '../train/imported.js';

const STEPS = [1, 2, 4, 8, 16, 32, 64] as const;

/** Whether a model takes images of some size, and makes masks of that size of them if it is a segmenter. */
function takes(
  file: TrainedFile,
  original: Model,
  config: NonNullable<FinetuneConfig['model']>,
  format: SampleFormat,
  head: TargetHead,
): boolean {
  try {
    const adapter = imageAdapter(file.path, original, format, config.inputRange);
    const batch = original.graph.inputs.find(({ name }) => name === adapter.input)!.shape[0];
    const model = importFor(file, config, adapter, typeof batch === 'number' ? batch : 1);
    if (head.kind === 'classification') return true;
    const value = head.head === 'replace' ? featuresOf(model, head) : (head.value ?? model.outputs[0]!.name);
    const { shape } = model.graph.values.get(value)!;
    return shape.slice(2).join() === adapter.shape.slice(2 - shape.length).join();
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/**
 * The least power of two by which images may be longer along all axes that the file leaves open, which is found by trying; the sizes of
 * the samples where there is none, and along all other axes.
 */
export function sizeMultiple(
  file: TrainedFile,
  original: Model,
  config: NonNullable<FinetuneConfig['model']>,
  format: SampleFormat,
  head: TargetHead,
): XYZ {
  const { input, shape: taken } = imageAdapter(file.path, original, format, config.inputRange);
  const { shape } = original.graph.inputs.find(({ name }) => name === input)!;
  // Slices have no third axis.
  const axes = taken.length === 3 && format.size[2] === 1 ? 2 : 3;
  const isOpen = format.size.map((_, i) => i < axes && typeof shape.at(-1 - i) === 'string');
  const changed = (change: (length: number) => number) =>
    format.size.map((length, i) => (isOpen[i] ? change(length) : length)) as unknown as XYZ;
  const isMultiple = (step: number) => format.size.every((length, i) => !isOpen[i] || length % step === 0);
  const step = STEPS.find(
    (step) =>
      isMultiple(step) &&
      takes(file, original, config, { ...format, size: changed((length) => length + step) }, head),
  );
  return changed((length) => step ?? length);
}
