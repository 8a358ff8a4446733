/** What decides a fine-tuning run: defaults, then file, then what was asked for. */
import * as z from 'zod';
import { UserError } from '../errors.js';
import { blamedOf, type ConfigChanges, parseConfig, withChanges } from './layers.js';
import { checkTraining, KERAS_NORM, TRAINING_DEFAULTS, trainingSchema } from './training.js';

/** Scores of classifiers and of segmenters on validation samples. */
const CLASS_SCORES = ['auc', 'average_precision', 'accuracy'] as const;
const MASK_SCORES = ['dice@0.5', 'iou_fg@0.5'] as const;

/** An ONNX model that is trained itself. */
export const importedSchema = z.strictObject({
  /** Of the file. */
  sha256: z.string().default(''),
  /** `replace`: new layers in place of the last linear one, or behind the features. `keep`: its output is the logits. */
  head: z.enum(['replace', 'keep']).default('replace'),
  /** What new layers are put on, or the logits: an output, or any value inside the model; null takes what suits. */
  output: z.string().min(1).nullable().default(null),
  /** What the ends of the window of the samples become as the model's input; null takes what its metadata say, or 0 and 1. */
  inputRange: z
    .tuple([z.number(), z.number()])
    .refine(([low, high]) => low < high, 'the first must be less than the second')
    .nullable()
    .default(null),
  /** Weights that stay as they are, by their names, in which * stands for any characters. */
  freeze: z.array(z.string().min(1)).default([]),
  /**
   * Exporters merge tensors of equal values. Which of those that are used several times become weights of their own again: vectors
   * (scales and biases), all, or none.
   */
  split: z.enum(['vectors', 'all', 'none']).default('vectors'),
});
export type ImportedConfig = z.infer<typeof importedSchema>;

export const finetuneSchema = z.strictObject({
  kind: z.enum(['classification', 'segmentation']),
  /**
   * Classification: cross-entropy of the classes, which for two is that of one output's sigmoid. Segmentation: soft
   * Dice of the batch, the mean binary cross-entropy of voxels, or their sum.
   */
  loss: z.enum(['crossEntropy', 'dice', 'binaryCrossEntropy', 'dice+binaryCrossEntropy']),
  /** Neurons between features and output of a classifier; null connects them directly. */
  hidden: z.int().positive().nullable(),
  /** The encoder stays as it was loaded. */
  frozenEncoder: z.boolean(),
  /** Share of the learning rate at which the encoder, or an ONNX model, is trained; new layers have all of it. */
  encoderRate: z.number().positive().default(1),
  /**
   * What is done about classes of different size: nothing, weights in the loss, or epochs with as many samples of each
   * class as the smallest has, drawn anew every time.
   */
  balance: z.enum(['none', 'weights', 'sampling']),
  augmentation: z.strictObject({
    /** Mirror images along each axis, half the time. */
    flips: z.boolean(),
    /** Most degrees of rotation around each axis. */
    rotationDegrees: z.number().min(0).max(180),
    /** Most change of brightness and of contrast, as a share of the intensity range. */
    intensity: z.number().min(0).lt(1),
  }),
  /** What the learning rate, the early stop and the best checkpoint go by on validation samples: the loss, or a score. */
  bestBy: z.enum(['loss', ...CLASS_SCORES, ...MASK_SCORES]).default('loss'),
  /** Share of the training samples that is used, all of a patient’s samples or none. */
  fraction: z.number().positive().max(1),
  /** Instead of a share: the number of training patients whose samples are used. */
  patients: z.int().positive().nullable().default(null),
  init: z.strictObject({
    /** `random`, a run's folder, a file of weights, the name of an encoder that comes with the package, or an ONNX model. */
    from: z.string().min(1),
    /** Of a run: `best`, `last` or a step. */
    checkpoint: z.string(),
    /** Of the file that this leads to, as it was when the run began; empty for a run of an earlier version. */
    sha256: z.string().default(''),
    parts: z.array(z.enum(['encoder', 'decoder', 'head', 'classifier'])).min(1),
    /** Take what fits, and leave the rest. */
    partial: z.boolean(),
    /** Our names by the file's. */
    names: z.record(z.string(), z.string()),
    /** How the weights are drawn that are not loaded. */
    random: z.enum(['glorotUniform', 'heUniform']).default('glorotUniform'),
  }),
  /** The network where it is an ONNX model that is trained itself; null where it is one of our own, or stays frozen. */
  model: importedSchema.nullable().default(null),
  ...trainingSchema.shape,
});

export type FinetuneConfig = z.infer<typeof finetuneSchema>;

/** Tasks are told by what their samples are marked with. */
export type TaskKind = FinetuneConfig['kind'];

/** The network of preset `tiny`; a run's own is taken where one is loaded. */
const NETWORK = {
  width: 8,
  levels: 3,
  skip: true,
  upsampling: 'nearest',
  norm: { ...KERAS_NORM, momentum: 0.9 },
} as const;

const COMMON = {
  ...TRAINING_DEFAULTS,
  frozenEncoder: false,
  encoderRate: 1,
  balance: 'none',
  augmentation: { flips: false, rotationDegrees: 0, intensity: 0 },
  bestBy: 'loss',
  fraction: 1,
  patients: null,
  init: {
    ...{ from: 'random', checkpoint: 'best', sha256: '', parts: ['encoder'], partial: false, names: {} },
    random: 'glorotUniform',
  },
  model: null,
  network: NETWORK,
  steps: 2_000,
  schedule: { ...TRAINING_DEFAULTS.schedule, patience: 6, earlyStop: 20 },
  checkpoints: { every: 100, keepEvery: null, keepLogSpaced: 0 },
} satisfies Partial<FinetuneConfig>;

/** Batches, losses and heads are those of Models Genesis' target tasks. */
const DEFAULTS: Readonly<Record<TaskKind, FinetuneConfig>> = {
  classification: { ...COMMON, kind: 'classification', loss: 'crossEntropy', hidden: 1024, batch: 24 },
  segmentation: { ...COMMON, kind: 'segmentation', loss: 'dice', hidden: null, batch: 16 },
};

/**
 * @param where what the value was read from, or what each of its paths was
 * @throws UserError of kind `config` naming each wrong key
 */
export function checkFinetuneConfig(
  value: unknown,
  where: string | ((path: readonly PropertyKey[]) => string),
): FinetuneConfig {
  const fix = 'see the config.json of any fine-tuning run for the keys';
  const config = parseConfig(finetuneSchema, value, where, fix);
  const { kind, loss, balance, bestBy, fraction, patients, frozenEncoder, encoderRate } = config;
  const wrong = (what: string, at: string, got: string, expected: string) =>
    new UserError('config', { what, where: at, got, expected });
  if ((kind === 'classification') !== (loss === 'crossEntropy'))
    throw wrong(
      'this loss does not match the task',
      'loss',
      `${loss} for ${kind}`,
      kind === 'classification' ? 'crossEntropy' : 'dice, binaryCrossEntropy or dice+binaryCrossEntropy',
    );
  const scores: readonly string[] = kind === 'classification' ? CLASS_SCORES : MASK_SCORES;
  if (bestBy !== 'loss' && !scores.includes(bestBy))
    throw wrong('this score is not measured for the task', 'bestBy', bestBy, ['loss', ...scores].join(', '));
  if (kind === 'segmentation' && balance === 'sampling')
    throw wrong('balanced sampling needs samples with one class each', 'balance', balance, 'none or weights');
  if (frozenEncoder && encoderRate !== 1)
    throw wrong('a frozen encoder is not trained at any rate', 'encoderRate', String(encoderRate), '1');
  if (patients !== null && fraction !== 1)
    throw wrong(
      'training samples are chosen by a fraction or by a number of patients, not by both',
      'patients',
      `${patients}, with fraction ${fraction}`,
      'one of them',
    );
  return config;
}

export interface FinetuneSources extends ConfigChanges<FinetuneConfig> {
  readonly kind: TaskKind;
  /** Of the run or file that is loaded, instead of the default one. */
  readonly network?: FinetuneConfig['network'];
  /** An ONNX model that is trained itself. */
  readonly model?: Pick<ImportedConfig, 'sha256'>;
}

/**
 * A task's defaults with changes.
 * @throws UserError for unknown keys and impossible values
 * @example
 * const config = resolveFinetuneConfig({ kind: 'classification', config: { steps: 100 } });
 */
export function resolveFinetuneConfig({ kind, network, model, ...changes }: FinetuneSources): FinetuneConfig {
  const base = DEFAULTS[kind];
  const given = network ? { ...network, skip: base.network.skip } : base.network;
  // A model's own features are ready for one linear layer.
  const ofModel = model ? { model, hidden: null } : {};
  const config = checkFinetuneConfig(
    withChanges({ ...base, network: given, ...ofModel }, changes),
    blamedOf(changes),
  );
  if (config.loss === 'dice' && config.balance === 'weights')
    throw new UserError('config', {
      what: 'Dice has no weights of classes: it compares areas, however small they are',
      where: 'balance',
      got: config.balance,
      expected: 'none; or with it loss=binaryCrossEntropy or dice+binaryCrossEntropy',
    });
  return config;
}

/** @throws UserError when samples of this size cannot go through the network */
export const checkSampleSize = (config: FinetuneConfig, size: readonly number[]): void =>
  checkTraining(config, size, 'size of the samples');
