/** What decides how any network is trained, whatever its task. */
import * as z from 'zod';
import { RECOMPUTED } from '../../graphs/programs/recompute.js';
import { UserError } from '../errors.js';
import { DEVICE, DEVICES, ENGINES } from '../runtime/device.js';

/** `128x128x64` or `[128, 128, 64]`: x, y, z. */
export const sizeSchema = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(/[x×]/).map(Number) : value),
  z.tuple([z.int().positive(), z.int().positive(), z.int().positive()], {
    error: 'a size must be three positive integers, x×y×z, for example 128x128x64',
  }),
);

const MEMORY = /^(\d+(?:\.\d+)?)\s*([MGT])(i?)B?$/i;
const POWERS: Readonly<Record<string, number>> = { M: 2, G: 3, T: 4 };

/** `24GB` in bytes, `24GiB` in steps of 1,024. @throws UserError when it is no amount of memory */
export function parseMemory(where: string, text: string): number {
  const [, digits, unit, binary] = MEMORY.exec(text.trim()) ?? [];
  if (unit) return Math.round(Number(digits) * (binary ? 1024 : 1000) ** POWERS[unit.toUpperCase()]!);
  throw new UserError('config', {
    what: 'this is not an amount of memory',
    where,
    got: text,
    expected: 'for example 24GB, 24GiB or 800MB',
  });
}

/** As {@link parseMemory} reads it, or in bytes. */
const memorySchema = z.preprocess(
  (value) => (typeof value === 'string' ? parseMemory('memory', value) : value),
  z.int().positive(),
);

const optimizerSchema = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.enum(['adam', 'adamw']),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.999),
    epsilon: z.number().positive().default(1e-8),
    weightDecay: z.number().min(0).default(0),
  }),
  z.strictObject({
    name: z.literal('sgd'),
    momentum: z.number().min(0).lt(1).default(0.9),
    weightDecay: z.number().min(0).default(0),
  }),
]);

export const networkSchema = z.strictObject({
  width: z.int().positive(),
  levels: z.int().min(1).max(6),
  skip: z.boolean(),
  upsampling: z.enum(['nearest', 'deconv']),
  norm: z.strictObject({
    epsilon: z.number().positive(),
    /** Share of the old running statistic that each step keeps. */
    momentum: z.number().min(0).lt(1),
    evalStatistics: z.enum(['running', 'batch']),
  }),
});

export const PRECISIONS = ['fp32', 'tf32', 'amp'] as const;

export const trainingSchema = z.strictObject({
  network: networkSchema,
  /** Samples a step. */
  batch: z.int().positive(),
  /** Samples at once: less than `batch` accumulates gradients, and BatchNorm then sees micro-batches. */
  microBatch: z.int().positive().nullable(),
  optimizer: optimizerSchema,
  learningRate: z.number().positive(),
  /** Largest global norm of a gradient; null does not clip. */
  clipNorm: z.number().positive().nullable(),
  schedule: z.strictObject({
    /** Steps over which the learning rate rises in a straight line; 0 begins with all of it. */
    warmup: z.int().min(0).default(0),
    factor: z.number().positive().lt(1),
    patience: z.int().min(0),
    minDelta: z.number().min(0),
    minLearningRate: z.number().min(0),
    /** Stop after this many validations without improvement; null never. */
    earlyStop: z.int().positive().nullable(),
  }),
  /** Steps at most. */
  steps: z.int().positive(),
  validation: z.strictObject({
    /** Steps between validations; null is once an epoch. */
    every: z.int().positive().nullable(),
    /** Samples to validate on at most, spread over the validation split. */
    samples: z.int().positive(),
  }),
  checkpoints: z.strictObject({
    /** Steps between saves of the last state, from which a killed run goes on. */
    every: z.int().positive(),
    /** Steps between checkpoints that are kept; null keeps none. */
    keepEvery: z.int().positive().nullable(),
    /** This many more are kept: the untrained network, the last step, half of it, a quarter, … */
    keepLogSpaced: z.int().min(0).max(64),
  }),
  seed: z.int(),
  /** Threads of ONNX Runtime; 0 takes one a core. Another number changes the last digits of results. */
  threads: z.int().min(0),
  /** Threads that read data. */
  workers: z.int().min(0).max(64),
  /** Where to run; another device changes the last digits of results. */
  device: z
    .string()
    .regex(DEVICE, { error: `a device must be ${DEVICES}` })
    .transform((device) => (device === 'cuda' ? 'cuda:0' : device)),
  /** What runs the graphs: ONNX Runtime for Node.js; its builds for the web, as WebAssembly, are slower. */
  engine: z.enum(ENGINES).default('node'),
  /**
   * `fp32`; `tf32` allows NVIDIA GPUs to shorten the operands of products to 10 bits; `amp` computes feature maps in
   * float16, with float32 parameters and a loss scale that follows the gradients.
   */
  precision: z.enum(PRECISIONS).default('fp32'),
  /** Bytes that a training may take; more than fits otherwise is computed again. null is what the machine has. */
  memory: memorySchema.nullable().default(null),
  /** Layers of which the backward pass computes something again instead of keeping it: less memory for more time. */
  recompute: z.record(z.string(), z.enum(RECOMPUTED)).default({}),
  /**
   * How operators are computed: `tuned` measures their equivalent forms on this machine, `fast` takes what is known to
   * be fast, `plain` the definitions; `auto` tunes for long runs. A run keeps what was chosen: the form of each pattern.
   */
  forms: z.union([z.enum(['auto', 'tuned', 'fast', 'plain']), z.record(z.string(), z.string())]),
});

export type TrainingConfig = z.infer<typeof trainingSchema>;

/** What decides a training step, whatever network it is of. */
export type StepConfig = Pick<
  TrainingConfig,
  | 'batch'
  | 'microBatch'
  | 'optimizer'
  | 'learningRate'
  | 'clipNorm'
  | 'seed'
  | 'threads'
  | 'precision'
  | 'recompute'
  | 'forms'
>;

/** Normalisation as in Models Genesis' Keras code. */
export const KERAS_NORM = { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } as const;

/** What every training starts from. */
export const TRAINING_DEFAULTS = {
  batch: 16,
  microBatch: null,
  optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  learningRate: 1e-3,
  clipNorm: null,
  schedule: { warmup: 0, factor: 0.5, patience: 10, minDelta: 1e-4, minLearningRate: 1e-6, earlyStop: 50 },
  validation: { every: null, samples: 512 },
  checkpoints: { every: 100, keepEvery: null, keepLogSpaced: 12 },
  seed: 1,
  threads: 0,
  workers: 1,
  device: 'auto',
  engine: 'node',
  precision: 'fp32',
  memory: null,
  recompute: {},
  forms: 'auto',
} satisfies Partial<TrainingConfig>;

/** Samples that go through the network at once, and how many such groups make a step. */
export function microBatches({ batch, microBatch }: Pick<TrainingConfig, 'batch' | 'microBatch'>): {
  size: number;
  count: number;
} {
  const size = microBatch ?? batch;
  return { size, count: batch / size };
}

/** Checkpoints of one run. */
const MOST_KEPT = 10_000;

/** What no schema can say. @throws UserError of kind `config` */
export function checkTraining(config: TrainingConfig, size: readonly number[], what: string): void {
  const factor = 2 ** config.network.levels;
  if (size.some((length) => length % factor !== 0))
    throw new UserError('config', {
      what: `the network halves every size ${config.network.levels} times`,
      where: what,
      got: size.join('×'),
      expected: `multiples of ${factor}`,
    });
  checkPlan(config);
}

/** As {@link checkTraining}, whatever the network. @throws UserError of kind `config` */
export function checkPlan(config: TrainingConfig): void {
  const { keepEvery } = config.checkpoints;
  if (keepEvery !== null && config.steps / keepEvery > MOST_KEPT)
    throw new UserError('config', {
      what: 'too many checkpoints would be saved',
      where: 'checkpoints.keepEvery',
      got: `one every ${keepEvery} steps of ${config.steps}`,
      expected: `at most ${MOST_KEPT} in total`,
    });
  if (config.microBatch !== null && config.batch % config.microBatch !== 0)
    throw new UserError('config', {
      what: 'the batch size must be a multiple of the micro-batch size',
      where: 'microBatch',
      got: `${config.microBatch} for a batch of ${config.batch}`,
    });
}
