/** Training of any ONNX model, step by step, in Node.js or in a page. */
import type * as z from 'zod';
import { completeWeights, exportTrained } from '../../graphs/imported/export-trained.js';
import { importModel } from '../../graphs/imported/import-model.js';
import { DROPOUT_SEED } from '../../graphs/imported/network.js';
import type { SplitRule } from '../../graphs/imported/parameters.js';
import type { ImportReport } from '../../graphs/imported/report.js';
import { type ImportedTask, importedObjective } from '../../graphs/objectives/imported.js';
import type { ReadExternal } from '../../graphs/onnx/tensors.js';
import type { Value } from '../../graphs/onnx/types.js';
import { parseConfig } from '../config/layers.js';
import { type StepConfig, TRAINING_DEFAULTS, trainingSchema } from '../config/training.js';
import { UserError } from '../errors.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import { ofFile } from '../of-file.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { createStepper } from './create-stepper.js';
import { floatTensor } from './fresh-state.js';
import type { StepResult } from './stepper.js';
import { Turns } from './turns.js';

/** What is as in a run's configuration. */
const settingsSchema = trainingSchema.pick({ optimizer: true, clipNorm: true, threads: true });

export interface ModelTrainingOptions extends ImportedTask {
  readonly engine: Engine;
  /** Bytes of the `.onnx` file. */
  readonly model: Uint8Array;
  /** Sizes of its inputs, by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** Reads the bytes of a tensor that lies in a file beside the model. */
  readonly externalData?: ReadExternal;
  /** Weights that stay as they are, by their names. */
  readonly freeze?: (name: string) => boolean;
  /** Which tensors that are used several times are taken apart; vectors without it. */
  readonly split?: SplitRule;
  /** Adam by default. Of its settings those may be left out that have defaults in `docs/configuration.md`. */
  readonly optimizer?: z.input<typeof settingsSchema>['optimizer'];
  /** Largest global norm of a gradient; no limit by default. */
  readonly clipNorm?: number;
  /** Of the runtime; one a core by default. */
  readonly threads?: number;
}

/**
 * Calls wait for those that were made before them. After `release` all of them throw a UserError, and so they do after a step whose loss or
 * gradient was not finite: it has overwritten the weights.
 */
export interface ModelTraining {
  /** What trains, and what was made of the file. */
  readonly report: ImportReport;
  /** What a step is to be given: the model's inputs, and what the loss compares with. */
  readonly inputs: readonly Value[];
  /** What the model makes of inputs of these sizes. */
  readonly outputs: readonly Value[];
  /**
   * Makes one step.
   * @param batch by input; samples count alike without `sample_weight`
   * @param learningRate 0.001 by default
   * @throws UserError when the learning rate is none, or something of the batch is missing or of another size, which leaves all as it was;
   *   or when the loss or its gradient is no longer finite, with which the training is lost
   */
  step(batch: Tensors, learningRate?: number): Promise<StepResult>;
  /**
   * Makes several steps in one run of ONNX Runtime, which copies the weights in and out once.
   * @param batches one a step; all of them are in memory
   */
  steps(batches: readonly Tensors[], learningRate?: number): Promise<readonly StepResult[]>;
  /** What the network says of a batch: `loss` [N], `weight` [N], and `probabilities` or `prediction`. */
  evaluate(batch: Tensors): Promise<Tensors>;
  /** The `.onnx` file with the weights as they are now, and all else as it was. */
  trainedModel(): Promise<Uint8Array>;
  /** Frees what the engine holds, when the calls before have ended. */
  release(): Promise<void>;
}

const WEIGHT = 'sample_weight';

/** @throws UserError for a class number that the network has no output for: the loss would take it for no class at all */
function checkLabels(labels: Int32Array, classes: number): void {
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong !== undefined)
    throw new UserError('input', {
      what: 'there is no such class',
      where: 'label',
      got: String(wrong),
      expected: `0 to ${classes - 1}`,
    });
}

/** @throws UserError for what is no learning rate, which from JavaScript may be anything */
function checkRate(rate: number): void {
  if (typeof rate === 'number' && rate >= 0 && Number.isFinite(Math.fround(rate))) return;
  throw new UserError('usage', {
    what: 'a learning rate must be a number from 0 to 3.4e38',
    where: 'learningRate',
    got: String(rate),
  });
}

/** What was given as a tensor, which from JavaScript may be anything. */
function described({ type, shape, data }: Partial<Tensors[string]>): string {
  if (type === undefined || !Array.isArray(shape) || !ArrayBuffer.isView(data))
    return 'no { type, shape, data }';
  const values = shape.reduce((product, size) => product * size, 1);
  return `${type} [${shape.join(',')}]${data.length === values ? '' : ` with ${data.length} values`}`;
}

/** A batch with what may be left out. @param seed of Dropout @param classes of labels that are numbers of classes */
function completed(inputs: readonly Value[], batch: Tensors, seed: number, classes: number): Tensors {
  const fed: Record<string, Tensors[string]> = {};
  for (const { name, type, shape } of inputs) {
    const sizes = shape as readonly number[];
    const given =
      batch[name] ??
      (name === WEIGHT
        ? floatTensor(sizes, new Float32Array(sizes[0]!).fill(1))
        : name === DROPOUT_SEED
          ? { type, shape: sizes, data: BigInt64Array.of(BigInt(seed)) }
          : undefined);
    const found = given && described(given);
    const expected = `${type} [${sizes.join(',')}]`;
    if (!given || found !== expected)
      throw new UserError('input', {
        what: given ? 'this tensor does not suit the model' : 'something of the batch is missing',
        where: name,
        ...(found ? { got: found } : {}),
        expected,
      });
    if (name === 'label' && type === 'int32') checkLabels(given.data as Int32Array, classes);
    fed[name] = given;
  }
  return fed;
}

/**
 * Makes ready to train a model.
 * @throws UserError when an option cannot be, the file is no model, something in it cannot be trained, or the engine refuses the graph
 * @example
 * const training = await openModelTraining({
 *   engine, model, inputs: { image: [8, 3, 224, 224] }, loss: { name: 'crossEntropy' },
 * });
 * const { loss } = await training.step({ image, label });
 */
export async function openModelTraining(options: ModelTrainingOptions): Promise<ModelTraining> {
  const { engine, model: bytes, inputs: sizes, externalData, freeze, split, output, loss } = options;
  const { optimizer = TRAINING_DEFAULTS.optimizer, clipNorm = null, threads = 0 } = options;
  const settings = parseConfig(
    settingsSchema,
    { optimizer, clipNorm, threads },
    'options',
    'see optimizer, clipNorm and threads in docs/configuration.md',
  );
  // A loss of the caller's own is given all outputs.
  const outputs = output !== undefined && typeof loss !== 'function' ? [output] : undefined;
  const model = ofFile('the model', () =>
    importModel(bytes, { inputs: sizes, outputs, externalData, freeze, split }),
  );
  const config: StepConfig = { ...TRAINING_DEFAULTS, ...settings, forms: 'fast' };
  const workload: Workload = () => importedObjective(model, { output, loss });
  const evaluation = buildGraph('evaluation', workload, config);
  const { parameters, graph } = buildGraph('forward', workload, config);
  const stateNames = new Set(parameters.map(({ name }) => name));
  const inputs = graph.inputs.filter(({ name }) => !stateNames.has(name));
  const stepper = await createStepper(workload, config, engine, { inLoop: true });
  const scores = evaluation.graph.outputs.find(({ name }) => name === 'probabilities');
  // What labels mean to a loss of the caller's own is not known.
  const classes =
    typeof loss === 'function' || !scores ? Number.POSITIVE_INFINITY : (scores.shape[1] as number);
  const turns = new Turns();
  let evaluator: Session | undefined;
  let done = 0;
  const makeSteps = async (batches: readonly Tensors[], learningRate = config.learningRate) => {
    checkRate(learningRate);
    if (batches.length === 0) return [];
    const before = done;
    const fed = batches.map((batch, i) => [completed(inputs, batch, before + i, classes)]);
    const results = await stepper.run(fed, learningRate, before + 1);
    done += batches.length;
    return turns.checked(results, before + 1);
  };
  const evaluate = async (given: Tensors) => {
    evaluator ??= await loadGraph(evaluation, config, engine);
    const state = await stepper.readState();
    const fed = completed(
      inputs.filter(({ name }) => name !== DROPOUT_SEED),
      given,
      0,
      classes,
    );
    const read = evaluation.parameters.map(({ name }) => [name, state.get(name)!] as const);
    return evaluator.run({ ...fed, ...Object.fromEntries(read) });
  };
  const trainedModel = async () => {
    const state = await stepper.readState();
    const trained = new Map(parameters.map(({ name }) => [name, state.get(name)!.data as Float32Array]));
    return ofFile('the model', () =>
      exportTrained(bytes, model, completeWeights(model, trained), externalData),
    );
  };
  return {
    report: model.report,
    inputs,
    outputs: model.outputs,
    step: (batch, learningRate) => turns.take(async () => (await makeSteps([batch], learningRate))[0]!),
    steps: (batches, learningRate) => turns.take(() => makeSteps(batches, learningRate)),
    evaluate: (batch) => turns.take(() => evaluate(batch)),
    trainedModel: () => turns.take(trainedModel),
    release: () =>
      turns.release(async () => {
        await stepper.release();
        await evaluator?.release();
      }),
  };
}
