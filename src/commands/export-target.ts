import { targetGraph } from '../../graphs/programs/inference.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { sha256 } from '../data/store/arrays.js';
import { UserError } from '../errors.js';
import { buildGraph, loadGraph, portableModel } from '../execution/models.js';
import { isOnnxFile } from '../onnx-file.js';
import { type Checkpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { type FinetuneRunFacts, readFinetuneRun, runHash } from '../runs/run.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { targetWorkload } from '../train/target.js';
import { refuseBatchStatistics } from './batch-statistics.js';
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
import { exportImported } from './export-imported.js';
import { finishModel, sampleImages } from './export-precision.js';
import { testedScores } from './finetune-summary.js';
import type { Scores } from './score-samples.js';
import { targetMetadata } from './target-metadata.js';

/** Values that are no whole numbers were normalised before. */
function preprocessingOf({ type, window }: SampleFormat): string {
  const steps = [
    ...(type === 'float32' ? ['outside the model: normalise images as for training'] : []),
    ...(window ? [`inside the model: clipped to [${window.low}, ${window.high}], mapped to [0, 1]`] : []),
  ];
  return steps.join('; ');
}

function metadataOf(
  config: FinetuneConfig,
  facts: FinetuneRunFacts,
  checkpoint: Checkpoint,
  license: string,
): Record<string, string> {
  const { network } = config;
  const { format } = facts;
  return {
    ...targetMetadata(config, facts, checkpoint, license),
    network: JSON.stringify(network),
    input: `image: ${format.channels} channels, [N, C, D, H, W]`,
    preprocessing: preprocessingOf(format),
    size_multiple: Array(3)
      .fill(2 ** network.levels)
      .join('x'),
  };
}

function card(
  config: FinetuneConfig,
  format: SampleFormat,
  metadata: Readonly<Record<string, string>>,
  scores: Scores | null,
  counts: ReturnType<typeof sampleCounts>,
  checked: CheckedFacts,
): string {
  const isClassifier = config.kind === 'classification';
  const classes = format.classes.map((name, i) => `${i} ${name}`).join(', ');
  return `# ${isClassifier ? 'Classifier' : 'Segmenter'} of ${format.classes.join(', ')}

**For research only. Not a medical device; not for diagnosis.**

| input | type and shape | meaning |
|---|---|---|
| \`image\` | ${format.type} [N, ${format.channels}, D, H, W], multiples of ${2 ** config.network.levels} | ${
    metadata.preprocessing!.startsWith('outside') ? 'normalised values' : 'Hounsfield units or raw values'
  }, x fastest; D = z, H = y, W = x in LPS orientation |

| output | type and shape | meaning |
|---|---|---|
| \`probabilities\` | float32 [N, ${format.classes.length}${isClassifier ? '' : ', D, H, W'}] | of classes ${classes} |

Preprocessing is ${metadata.preprocessing}. BatchNorm is folded into the convolutions. It was trained on samples of
${format.size.join('×')} voxels (x×y×z)${metadata.spacing ? ` of ${metadata.spacing.replaceAll('x', '×')} mm` : ''}.

## Training

| training | |
|---|---|
| task | ${metadata.task} |
| started from | ${config.init.from} |
| network | 3D U-Net${isClassifier ? ' encoder' : ''}, width ${config.network.width}, ${config.network.levels} poolings |
| steps | ${stepsInWords(Number(metadata.training_steps))}, batch ${config.batch}, loss ${config.loss} |
| best validation loss | ${metadata.best_validation_loss || 'not validated'} |
${countRows(counts)}
| data (SHA-256 of the manifest) | ${metadata.data_manifest_sha256} |
| seed | ${config.seed} |
| licence of the weights | ${metadata.license} |

${scoresSection(scores, counts, checked.precision)}
${checkedSection(fileName(config), checked)}
${limitsSection(true)}
## Weights

\`weights.safetensors\` holds the same network before folding.
`;
}

const fileName = (config: Pick<FinetuneConfig, 'kind'>) => `${modelName(config)}.onnx`;

/** What the training's own evaluation graph says of two images. */
async function trainedProbabilities(
  config: FinetuneConfig,
  format: SampleFormat,
  { tensors }: Checkpoint,
  image: EngineTensor,
): Promise<Float32Array> {
  const small = { ...config, batch: 2, microBatch: null };
  const built = buildGraph('evaluation', targetWorkload(small, format, null), small);
  const session = await loadGraph(built, small, nodeEngine);
  try {
    const blank = Object.fromEntries(
      built.graph.inputs
        .filter(({ name }) => session.inputs.includes(name) && !tensors.has(name))
        .map(({ name, type, shape }): [string, EngineTensor] => {
          const length = (shape as number[]).reduce((a, b) => a * b, 1);
          const data =
            type === 'uint8'
              ? new Uint8Array(length)
              : type === 'int32'
                ? new Int32Array(length)
                : new Float32Array(length);
          return [name, { type, shape: shape as number[], data }];
        }),
    );
    const parameters = Object.fromEntries(
      session.inputs.filter((name) => tensors.has(name)).map((name) => [name, tensors.get(name)!]),
    );
    const { probabilities } = await session.run({ ...blank, ...parameters, image });
    const values = probabilities!.data as Float32Array;
    if (config.kind === 'segmentation' || format.classes.length > 2) return values;
    return Float32Array.from([...values].flatMap((yes) => [1 - yes, yes]));
  } finally {
    await session.release();
  }
}

async function probabilitiesOf(
  model: Uint8Array,
  image: EngineTensor,
  threads: number,
): Promise<Float32Array> {
  const session = await nodeEngine.load(model, { threads });
  try {
    const { probabilities } = await session.run({ image });
    return probabilities!.data as Float32Array;
  } finally {
    await session.release();
  }
}

/**
 * Writes a fine-tuned network as a portable model: `classifier.onnx` or `segmenter.onnx`, `weights.safetensors` and
 * `model-card.md`. The model is run and compared with the training network before anything is written.
 * @throws UserError when there is no such checkpoint, the folder holds the export of another run, or the two differ by more than 1e-4
 * @example
 * await exportTarget({ run: 'runs/target/trial-01', out: 'model' });
 */
export async function exportTarget(options: ExportOptions): Promise<TargetExportSummary> {
  const facts = readFinetuneRun(options.run);
  const { config, format } = facts;
  const checkpoint = resolveCheckpoint(options.run, options.checkpoint ?? 'best');
  if (isOnnxFile(config.init.from) && !config.model)
    throw new UserError('config', {
      what: 'this classifier uses an external encoder: only the layers after it were trained',
      where: options.run,
      got: config.init.from,
      fix: 'use that file, followed by the classifier.* tensors of the checkpoint',
    });
  if (config.model) return exportImported(options, facts, checkpoint);
  refuseBatchStatistics(config.network, 'exported');
  const run = runHash(config, checkpoint.state.dataHash);
  if (!options.overwrite) refuseOverwriting(options.out, run);
  const { kind, network, hidden } = config;
  const inputType = options.inputType ?? format.type;
  if (inputType === 'int16' && format.type === 'float32')
    throw new UserError('usage', {
      what: 'this network takes normalised images, whose values are not integers',
      where: '--input-type',
      got: 'int16',
      expected: 'float32',
    });
  const graph = targetGraph(
    {
      kind,
      network,
      hidden,
      classes: format.classes.length,
      channels: format.channels,
      inputType,
      window: format.window,
    },
    weightsOf(checkpoint),
  );
  const license = options.license ?? 'not stated';
  const metadata = { ...metadataOf(config, facts, checkpoint, license), run_sha256: run };
  const documentation = 'A fine-tuned 3D network. For research use only; not a medical device.';
  const float32 = portableModel(graph, { documentation, metadata });
  const trained = noise(format, config.seed, 2);
  const image: EngineTensor =
    inputType === format.type
      ? trained
      : { ...trained, type: inputType, data: Float32Array.from(trained.data as Int16Array) };
  const expected = await trainedProbabilities(config, format, checkpoint, trained);
  const error = checkedDifference(expected, await probabilitiesOf(float32, image, config.threads));
  const images = (folder: string) => sampleImages(folder, format, inputType);
  const { model, precision } = await finishModel(float32, options, images, config.threads);
  const check = `probabilities within ${error.toExponential(1)} (relative) of the training network's`;
  const files = writeExport(options.out, modelName(config), checkpoint, {
    model,
    metadata,
    precision: options.precision,
    triton: options.triton,
    card: card(
      config,
      { ...format, type: inputType },
      metadata,
      testedScores(options.run, checkpoint),
      sampleCounts(facts, checkpoint.state.dataHash),
      { sha256: sha256(model), precision, check },
    ),
  });
  return { ...files, step: checkpoint.state.step, error, precision };
}
