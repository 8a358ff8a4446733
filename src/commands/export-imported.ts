/** A fine-tuned ONNX model as a file: the model that it was, with trained weights. */
import { completeWeights, exportTrained } from '../../graphs/imported/export-trained.js';
import type { ImportedModel } from '../../graphs/imported/import-model.js';
import { SELF_TEST, withMetadata } from '../../graphs/imported/metadata.js';
import { floatType, importedLayers, networkInputs } from '../../graphs/imported/network.js';
import { withHead, withOutput } from '../../graphs/imported/with-head.js';
import { NetworkBuilder } from '../../graphs/nn/module.js';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import { featuresOf, keptValues, type TargetHead } from '../../graphs/objectives/imported-target.js';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { formatShape, type Value } from '../../graphs/onnx/types.js';
import { headGraph, trainedGraph } from '../../graphs/programs/imported.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { sha256 } from '../data/store/arrays.js';
import { refuseIdle } from '../errors.js';
import { portableModel } from '../execution/models.js';
import { loadWithSingleInterface } from '../execution/single-interface.js';
import { adaptedVoxels, imageAdapter } from '../inference/image-adapter.js';
import { sealed, selfTestOf, type TestInput } from '../inference/self-test.js';
import { IMAGE_ADAPTER, type StoredAdapter } from '../inference/stored-adapter.js';
import { readModelFile } from '../onnx-file.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import { configPath, type FinetuneRunFacts, runHash } from '../runs/run.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import {
  checkUnchanged,
  importFor,
  openTrainedFile,
  type TrainedFile,
  targetHeadOf,
} from '../train/imported.js';
import {
  type CheckedFacts,
  checkedSection,
  countRows,
  limitsSection,
  scoresSection,
  stepsInWords,
} from './card-sections.js';
import { sampleCounts } from './data-counts.js';
import type { ExportOptions } from './export.js';
import {
  checkedDifference,
  modelName,
  noise,
  refuseOverwriting,
  type TargetExportSummary,
  weightsOf,
  writeExport,
} from './export-files.js';
import { testedScores } from './finetune-summary.js';
import type { Scores } from './score-samples.js';
import { sizeMultiple } from './size-multiple.js';
import { targetMetadata } from './target-metadata.js';

/** What outputs of models with weights of half precision may differ by from those of the same network in single precision. */
const HALF_TOLERANCE = 0.02;

/** An output of a model for an image. */
async function resultOf(
  bytes: Uint8Array,
  image: EngineTensor,
  threads: number,
  output?: string,
): Promise<Float32Array> {
  const model = decodeModel(bytes);
  const [input] = givenInputs(model.graph);
  const session = await loadWithSingleInterface(model, bytes, nodeEngine, { threads });
  try {
    const out = await session.run({ [input!.name]: image });
    return out[output ?? session.outputs[0]!]!.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** What becomes of the values of samples before they are the input of the model, for people. */
function preprocessingOf({ clip, offset, scale, repeat }: ImageAdapter): string {
  const steps = [
    ...(clip ? [`clipped to [${clip.low}, ${clip.high}]`] : []),
    ...(offset !== 0 || scale !== 1
      ? [`(value ${offset < 0 ? '+' : '−'} ${Math.abs(offset)}) · ${scale}`]
      : []),
    ...(repeat > 1 ? [`the only channel ${repeat} times`] : []),
  ];
  return `outside the model: ${steps.join(', ') || 'none; it takes the values of the samples'}`;
}

/** What the file says of how it takes the images that it was trained on. @param output that of the classes */
function storedAdapterOf(
  model: ImportedModel,
  { kind, format }: Pick<FinetuneConfig, 'kind'> & Pick<FinetuneRunFacts, 'format'>,
  { shape, clip, offset, scale, repeat }: ImageAdapter,
  head: TargetHead,
  output: string,
): StoredAdapter {
  const { classes, channels, size } = format;
  return {
    ...{ kind, classes: classes.length, channels, repeat, clip, offset, scale, output },
    axes: shape.length === 4 ? 'NCDHW' : size[2] === 1 ? 'NCHW' : 'NDHW',
    values: head.head === 'keep' ? keptValues(model, output) : 'probabilities',
  };
}

/** A value inside a network as an output of its file, whose sizes are open where those of its input are. */
function openOutput(model: ImportedModel, name: string, input: Value): Value {
  const net = new NetworkBuilder(new GraphBuilder('sizes'), 'evaluation');
  const { shape } = importedLayers(net, model, networkInputs(net.g, model.inputs), [name]).get(name)!;
  // Maps have the axes of the images.
  const isOpen = (axis: number) =>
    typeof input.shape[axis] === 'string' &&
    (axis === 0 || (axis > 1 && shape.length === input.shape.length));
  return {
    name,
    type: floatType(model),
    shape: shape.map((size, axis) => (isOpen(axis) ? input.shape[axis]! : size)),
  };
}

/** The model with trained weights, and its output of the classes. @param input that takes the images */
function withWeights(
  file: TrainedFile,
  model: ImportedModel,
  weights: ReadonlyMap<string, Float32Array>,
  head: TargetHead,
  input: Value,
): { readonly changed: Uint8Array; readonly output: string } {
  const same = exportTrained(file.bytes, model, weights, file.externalData);
  const outputsOf = (bytes: Uint8Array) => decodeModel(bytes).graph.outputs.map(({ name }) => name);
  if (head.head === 'replace') {
    const changed = withHead(same, featuresOf(model, head), portableModel(headGraph(model, weights, head)));
    return { changed, output: outputsOf(changed)[0]! };
  }
  const outputs = outputsOf(same);
  const output = head.value ?? outputs[0]!;
  const changed = outputs.includes(output) ? same : withOutput(same, openOutput(model, output, input));
  return { changed, output };
}

/** The values of images as the model takes them. */
function rangeOf({ window }: SampleFormat, { clip, offset, scale }: ImageAdapter): TestInput['range'] {
  const { low, high } = clip ?? window ?? { low: 0, high: 1 };
  return { low: (low - offset) * scale, high: (high - offset) * scale };
}

/** Facts of a model's metadata that are of what it was before. */
const FORMER = {
  hu_window: null,
  window: null,
  spacing: null,
  tile_size: null,
  [IMAGE_ADAPTER]: null,
};

function card(
  { config, format }: FinetuneRunFacts,
  metadata: Readonly<Record<string, string>>,
  features: string | null,
  scores: Scores | null,
  counts: ReturnType<typeof sampleCounts>,
  checked: CheckedFacts,
): string {
  const output =
    features === null
      ? 'its own outputs'
      : `\`probabilities\` of ${format.classes.join(', ')}, by new layers on \`${features}\``;
  return `# ${config.kind === 'classification' ? 'Classifier' : 'Segmenter'} of ${format.classes.join(', ')}

**For research only. Not a medical device; not for diagnosis.**

This is the ONNX model \`${config.init.from}\` (SHA-256 \`${config.model!.sha256}\`) with other weights. It takes what that model takes
(${metadata.input}; ${metadata.preprocessing}) and gives ${output}. It was trained on samples of
${format.size.join('×')} voxels (x×y×z)${metadata.spacing ? ` of ${metadata.spacing.replaceAll('x', '×')} mm` : ''}. Its metadata say under \`${IMAGE_ADAPTER}\` how images become its input: \`p2w ${config.kind === 'classification' ? 'classify' : 'segment'}\` reads it there.

## Training

| training | |
|---|---|
| task | ${metadata.task} |
| frozen | ${config.model!.freeze.join(', ') || 'nothing'} |
| steps | ${stepsInWords(Number(metadata.training_steps))}, batch ${config.batch}, loss ${config.loss} |
| best validation loss | ${metadata.best_validation_loss || 'not validated'} |
${countRows(counts)}
| data (SHA-256 of the manifest) | ${metadata.data_manifest_sha256} |
| seed | ${config.seed} |
| licence of the weights | ${metadata.license} |

${scoresSection(scores, counts, checked.precision)}
${checkedSection(`${modelName(config)}.onnx`, checked)}
${limitsSection(true)}`;
}

/**
 * Writes the ONNX model that a run has trained as `classifier.onnx` or `segmenter.onnx`: the original file with trained weights, and
 * the new head where it has one. The model is run and compared with the trained network before anything is written.
 * @throws UserError as `exportTarget`, and when the original file has gone or changed
 */
export async function exportImported(
  options: ExportOptions,
  facts: FinetuneRunFacts,
  checkpoint: Checkpoint,
): Promise<TargetExportSummary> {
  const { config, format } = facts;
  refuseIdle('a fine-tuned ONNX model, which keeps its types', {
    '--input-type': options.inputType,
    '--precision': options.precision === 'float32' ? undefined : options.precision,
    '--data': options.data,
    '--max-error': options.maxError,
  });
  const run = runHash(config, checkpoint.state.dataHash);
  if (!options.overwrite) refuseOverwriting(options.out, run);
  const file = openTrainedFile(config.init.from);
  checkUnchanged(file, config.model!.sha256, configPath(options.run));
  const original = readModelFile(file.path).model;
  const adapter = imageAdapter(file.path, original, format, config.model!.inputRange);
  const input = original.graph.inputs.find(({ name }) => name === adapter.input)!;
  const batch = input.shape[0]!;
  const images = typeof batch === 'number' ? batch : 2;
  const model = importFor(file, config.model!, adapter, images);
  const head = targetHeadOf(config, format);
  const weights = completeWeights(model, weightsOf(checkpoint));

  const { changed, output } = withWeights(file, model, weights, head, input);
  const stored = storedAdapterOf(model, { ...config, format }, adapter, head, output);
  const type = floatType(model);
  const half = type === 'float16' || type === 'bfloat16' ? type : null;
  const license = options.license ?? original.metadata.license ?? 'not stated';
  const metadata = {
    ...targetMetadata(config, facts, checkpoint, license),
    fine_tuned_from_sha256: file.sha256,
    input: `${input.name}: ${input.type} ${formatShape(input.shape)}`,
    preprocessing: preprocessingOf(adapter),
    size_multiple: sizeMultiple(file, original, config.model!, format, head).join('x'),
    ...(half && { precision: half }),
    [IMAGE_ADAPTER]: JSON.stringify(stored),
    run_sha256: run,
  };
  const described = withMetadata(changed, { ...FORMER, ...metadata });

  const { data } = noise(format, config.seed, images);
  const shape = [images, ...adapter.shape];
  const voxels = adaptedVoxels(data as Float32Array, adapter, images);
  const image = { type: adapter.type, shape, data: voxels };
  const expected = await resultOf(portableModel(trainedGraph(model, weights, head)), image, config.threads);
  const got = await resultOf(described, image, config.threads, output);
  const error = checkedDifference(expected, got, half ? HALF_TOLERANCE : undefined);
  const test = await selfTestOf(decodeModel(described), described, nodeEngine, {
    ...{ type: adapter.type, shape: shape.with(0, typeof batch === 'number' ? batch : 1) },
    range: rangeOf(format, adapter),
  });
  const trained = sealed(withMetadata(described, { [SELF_TEST]: test }));
  const name = modelName(config);
  const check = `outputs within ${error.toExponential(1)} (relative) of the training network's`;
  const files = writeExport(options.out, name, checkpoint, {
    model: trained,
    metadata,
    triton: options.triton,
    scores: output,
    card: card(
      facts,
      metadata,
      head.head === 'keep' ? null : featuresOf(model, head),
      testedScores(options.run, checkpoint),
      sampleCounts(facts, checkpoint.state.dataHash),
      { sha256: sha256(trained), precision: half, check },
    ),
  });
  return { ...files, step: checkpoint.state.step, error, precision: null };
}
