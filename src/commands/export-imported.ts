/** A fine-tuned ONNX model as a file: the model that it was, with trained weights. */
import { exportTrained } from '../../graphs/imported/export-trained.js';
import type { ImportedModel } from '../../graphs/imported/import-model.js';
import { withHead, withMetadata } from '../../graphs/imported/with-head.js';
import { featuresOf, type TargetHead } from '../../graphs/objectives/imported-target.js';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import { type Node, TYPE_CODES, type Value } from '../../graphs/onnx/types.js';
import { headGraph, trainedGraph } from '../../graphs/programs/imported.js';
import { sha256 } from '../data/store/arrays.js';
import { refuseIdle } from '../errors.js';
import { portableModel } from '../execution/models.js';
import { adaptedVoxels, imageAdapter } from '../inference/image-adapter.js';
import { SELF_TEST } from '../inference/self-test.js';
import { readModelFile } from '../onnx-file.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import { configPath, type FinetuneRunFacts, runHash } from '../runs/run.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { checkUnchanged, importFor, openTrainedFile, targetHeadOf } from '../train/imported.js';
import { limitsSection } from './card-sections.js';
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
import { readTrial } from './finetune-summary.js';
import { formatScore } from './score-samples.js';

/** The trained values of every parameter of a model; those of a head that was replaced are as they were. */
const trainedValues = ({ parameters }: ImportedModel, checkpoint: Checkpoint): Map<string, Float32Array> =>
  new Map([...parameters.map(({ name, values }) => [name, values] as const), ...weightsOf(checkpoint)]);

/** What outputs of models that compute in half precision may differ by from those of the same network in single precision. */
const HALF_TOLERANCE = 0.02;

const cast = (from: string, to: string, type: 'float16' | 'float32'): Node => ({
  name: to,
  operator: 'Cast',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: { to: { kind: 'int', value: TYPE_CODES[type] } },
});

/** A model that takes and gives half precision as one that takes and gives single precision. */
function withSingleInterface(bytes: Uint8Array): Uint8Array {
  const model = decodeModel(bytes);
  const { graph } = model;
  const isHalf = ({ type }: Value) => type === 'float16';
  const single = (value: Value): Value =>
    isHalf(value) ? { ...value, name: `${value.name}/single`, type: 'float32' } : value;
  return encodeModel({
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(single),
      outputs: graph.outputs.map(single),
      nodes: [
        ...graph.inputs.filter(isHalf).map(({ name }) => cast(`${name}/single`, name, 'float16')),
        ...graph.nodes,
        ...graph.outputs.filter(isHalf).map(({ name }) => cast(name, `${name}/single`, 'float32')),
      ],
    },
  });
}

/** The first output of a model for an image. */
async function resultOf(model: Uint8Array, image: EngineTensor, threads: number): Promise<Float32Array> {
  const session = await nodeEngine.load(model, { threads });
  try {
    const out = await session.run({ [session.inputs[0]!]: image });
    return out[session.outputs[0]!]!.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** How the images of samples become the input of the model, for people. */
function inputText(
  { config, format }: FinetuneRunFacts,
  original: ReturnType<typeof readModelFile>['model'],
) {
  const { clip, offset, scale, repeat, input, shape } = imageAdapter(config.init.from, original, format);
  const steps = [
    ...(clip ? [`clipped to [${clip.low}, ${clip.high}]`] : []),
    ...(offset !== 0 || scale !== 1 ? [`(value − ${offset}) · ${scale}`] : []),
    ...(repeat > 1 ? [`the only channel ${repeat} times`] : []),
  ];
  return `${input}: [N, ${shape.join(', ')}], values of the samples ${steps.length > 0 ? `outside the model: ${steps.join(', ')}` : 'as they are'}`;
}

function card(
  { config, format }: FinetuneRunFacts,
  metadata: Readonly<Record<string, string>>,
  head: TargetHead,
  features: string,
  tested: readonly string[],
  checks: string,
): string {
  const output =
    head.head === 'keep'
      ? 'its own outputs'
      : `\`probabilities\` of ${format.classes.join(', ')}, by new layers on \`${features}\``;
  return `# ${config.kind === 'classification' ? 'Classifier' : 'Segmenter'} of ${format.classes.join(', ')}

**For research only. Not a medical device; not for diagnosis.**

This is the ONNX model \`${config.init.from}\` (SHA-256 \`${config.model!.sha256}\`) with other weights. It takes what that model takes
(${metadata.fine_tuning_input}) and gives ${output}.

## Training

| training | |
|---|---|
| task | ${metadata.task} |
| frozen | ${config.model!.freeze.join(', ') || 'nothing'} |
| steps | ${metadata.training_steps}, batch ${config.batch}, loss ${config.loss} |
| best validation loss | ${metadata.best_validation_loss || 'not validated'} |
| data (SHA-256 of the manifest) | ${metadata.data_manifest_sha256} |
| seed | ${config.seed} |
| licence of the weights | ${metadata.license} |

## Scores

${tested.length > 0 ? `| test samples | |\n|---|---|\n${tested.join('\n')}` : 'This run has not been tested.'}

${checks}
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
  const { config, format, spacing } = facts;
  refuseIdle('a fine-tuned ONNX model, which keeps its types', {
    '--input-type': options.inputType,
    '--precision': options.precision === 'float32' ? undefined : options.precision,
    '--data': options.data,
    '--max-error': options.maxError,
    '--triton': options.triton,
  });
  const run = runHash(config, checkpoint.state.dataHash);
  if (!options.overwrite) refuseOverwriting(options.out, run);
  const file = openTrainedFile(config.init.from);
  checkUnchanged(file, config.model!.sha256, configPath(options.run));
  const original = readModelFile(file.path).model;
  const adapter = imageAdapter(file.path, original, format);
  const input = original.graph.inputs.find(({ name }) => name === adapter.input)!;
  const batch = input.shape[0]!;
  const images = typeof batch === 'number' ? batch : 2;
  const model = importFor(file, config.model!, adapter, images);
  const head = targetHeadOf(config, format);
  const weights = trainedValues(model, checkpoint);
  const features = featuresOf(model, head);

  const sameModel = exportTrained(file.bytes, model, weights, file.externalData);
  const withNewHead = () => withHead(sameModel, features, portableModel(headGraph(model, weights, head)));
  const { state } = checkpoint;
  const metadata = {
    task: `${format.task}, ${config.kind}`,
    classes: JSON.stringify(format.classes),
    training_steps: String(state.step),
    best_validation_loss: state.best ? String(state.best.validationLoss) : '',
    data_manifest_sha256: state.dataHash,
    seed: String(config.seed),
    sample_size: format.size.join('x'),
    ...(spacing ? { spacing: spacing.join('x') } : {}),
    fine_tuned_from_sha256: file.sha256,
    fine_tuning_input: inputText(facts, original),
    license: options.license ?? original.metadata.license ?? 'not stated',
    run_sha256: run,
  };
  // A self-test of the original model would fail now.
  const trained = withMetadata(head.head === 'keep' ? sameModel : withNewHead(), {
    ...metadata,
    [SELF_TEST]: null,
  });

  const { data } = noise(format, config.seed, images);
  const voxels = data as Float32Array;
  const each = voxels.length / images;
  const type = adapter.type;
  const values = Array.from({ length: images }, (_, i) =>
    adaptedVoxels(voxels.subarray(i * each, (i + 1) * each), adapter),
  );
  const all =
    type === 'int16'
      ? new Int16Array(images * values[0]!.length)
      : new Float32Array(images * values[0]!.length);
  for (const [i, image] of values.entries()) all.set(image, i * image.length);
  const image = { type, shape: [images, ...adapter.shape], data: all };
  const isHalf = input.type === 'float16';
  const expected = await resultOf(portableModel(trainedGraph(model, weights, head)), image, config.threads);
  const got = await resultOf(isHalf ? withSingleInterface(trained) : trained, image, config.threads);
  const error = checkedDifference(expected, got, isHalf ? HALF_TOLERANCE : undefined);
  const scores = Object.entries(readTrial(options.run)?.test ?? {});
  const name = modelName(config);
  const check = `outputs within ${error.toExponential(1)} (relative) of the training network's`;
  const files = writeExport(options.out, name, checkpoint, {
    model: trained,
    metadata,
    triton: undefined,
    card: card(
      facts,
      metadata,
      head,
      features,
      scores.map(([score, value]) => `| ${score} | ${formatScore(value)} |`),
      `## Checks\n\n| | |\n|---|---|\n| file | \`${name}.onnx\` |\n| SHA-256 | \`${sha256(trained)}\` |\n| at export | ${check} |\n`,
    ),
  });
  return { ...files, step: state.step, error, precision: null };
}
