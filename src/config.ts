/** What decides a pre-training run: one schema, filled in from preset, then file, then `--set`. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fromSystemError, UserError } from './errors.js';
import { DEVICE, DEVICES } from './runtime/device.js';

/** `128x128x64` or `[128, 128, 64]`: x, y, z. */
export const sizeSchema = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(/[x×]/).map(Number) : value),
  z.tuple([z.int().positive(), z.int().positive(), z.int().positive()], {
    error: 'a size is three whole numbers, x×y×z: 128x128x64',
  }),
);

const range = z.tuple([z.number().positive(), z.number().positive()]).refine(([low, high]) => low <= high, {
  error: 'the first number must not be above the second',
});

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

export const configSchema = z.strictObject({
  preset: z.enum(['tiny', 'small', 'genesis', 'genesis-sgd', 'paper']),
  network: z.strictObject({
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
  }),
  /** Voxels of wholes and of resized parts, x×y×z; tiles of a whole multiple are averaged down to it. */
  whole: sizeSchema,
  /** HU that become 0 and 1. */
  hu: z.strictObject({ low: z.number(), high: z.number() }).refine(({ low, high }) => low < high, {
    error: 'low must be below high',
  }),
  part: z.strictObject({
    /** Least and most share of the whole's volume. */
    scale: range.refine(([, high]) => high <= 1, { error: 'a part is at most the whole: 1' }),
    ratio: range,
    isotropic: z.boolean(),
  }),
  /** Samples a step. */
  batch: z.int().positive(),
  /** Samples at once: less than `batch` accumulates gradients, and BatchNorm then sees micro-batches. */
  microBatch: z.int().positive().nullable(),
  optimizer: optimizerSchema,
  learningRate: z.number().positive(),
  /** Largest global norm of a gradient; null does not clip. */
  clipNorm: z.number().positive().nullable(),
  schedule: z.strictObject({
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
    /** Wholes to validate on at most, spread over the validation split. */
    wholes: z.int().positive(),
  }),
  checkpoints: z.strictObject({
    /** Steps between saves of the last state, from which a killed run goes on. */
    every: z.int().positive(),
    /** Steps between checkpoints that are kept; null keeps none. */
    keepEvery: z.int().positive().nullable(),
    /** This many more are kept: the untrained network, the last step, half of it, a quarter, … */
    keepLogSpaced: z.int().min(0),
  }),
  seed: z.int(),
  /** Threads of ONNX Runtime; 0 takes one a core. Another number changes the last digits of results. */
  threads: z.int().min(0),
  /** Threads that read and cut tiles. */
  workers: z.int().min(0).max(64),
  /** Where to run; another device changes the last digits of results. */
  device: z
    .string()
    .regex(DEVICE, { error: `a device is ${DEVICES}` })
    .transform((device) => (device === 'cuda' ? 'cuda:0' : device)),
  /**
   * How operators are computed: `tuned` measures their equivalent forms on this machine, `fast` takes what is known to
   * be fast, `plain` the definitions; `auto` tunes for long runs. A run keeps what was chosen: the form of each pattern.
   */
  forms: z.union([z.enum(['auto', 'tuned', 'fast', 'plain']), z.record(z.string(), z.string())]),
});

export type Config = z.infer<typeof configSchema>;
export type PresetName = Config['preset'];

const NETWORK = { levels: 3, skip: false, upsampling: 'nearest' } as const;
const KERAS_NORM = { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } as const;

const BASE = {
  hu: { low: -1000, high: 1000 },
  part: { scale: [1 / 16, 1 / 4], ratio: [3 / 4, 4 / 3], isotropic: false },
  batch: 16,
  microBatch: null,
  optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  learningRate: 1e-3,
  clipNorm: null,
  schedule: { factor: 0.5, patience: 10, minDelta: 1e-4, minLearningRate: 1e-6, earlyStop: 50 },
  validation: { every: null, wholes: 512 },
  checkpoints: { every: 100, keepEvery: null, keepLogSpaced: 12 },
  seed: 1,
  threads: 0,
  workers: 1,
  device: 'auto',
  forms: 'auto',
} satisfies Partial<Config>;

const genesis = {
  ...BASE,
  network: { ...NETWORK, width: 32, norm: KERAS_NORM },
  whole: [64, 64, 32],
  steps: 50_000,
} satisfies Omit<Config, 'preset'>;

/** The named starting points; `paper` is the method as published. */
const PRESETS: Readonly<Record<PresetName, Omit<Config, 'preset'>>> = {
  // A short run has no time to fill slow averages: 0.9 instead of 0.99.
  tiny: {
    ...BASE,
    network: { ...NETWORK, width: 8, norm: { ...KERAS_NORM, momentum: 0.9 } },
    whole: [32, 32, 16],
    steps: 1_000,
    validation: { every: 50, wholes: 128 },
    checkpoints: { ...BASE.checkpoints, every: 50, keepLogSpaced: 10 },
  },
  small: {
    ...BASE,
    network: { ...NETWORK, width: 16, norm: KERAS_NORM },
    whole: [64, 64, 32],
    steps: 10_000,
  },
  genesis,
  'genesis-sgd': { ...genesis, optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 0 }, learningRate: 1 },
  // One volume at a time fits into 24 GiB; with more memory raise microBatch.
  paper: {
    ...genesis,
    whole: [128, 128, 64],
    microBatch: 1,
    steps: 200_000,
    checkpoints: { ...BASE.checkpoints, every: 20 },
  },
};
export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `over` on top of `under`, object by object. Another optimiser replaces all of the old one's options. */
function merge(under: Json, over: Json): Json {
  const merged: Json = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const old = under[key];
    const replaces = isObject(value) && 'name' in value && isObject(old) && value.name !== old.name;
    merged[key] = isObject(value) && isObject(old) && !replaces ? merge(old, value) : value;
  }
  return merged;
}

/** `network.width=16` as `{network: {width: 16}}`. Values are JSON, or text where they are not. */
function parseSetting(setting: string): Json {
  const at = setting.indexOf('=');
  if (at < 1)
    throw new UserError('usage', {
      what: 'a setting is written key=value',
      where: '--set',
      got: setting,
      expected: 'such as network.width=16',
    });
  let value: unknown = setting.slice(at + 1);
  try {
    value = JSON.parse(value as string);
  } catch {} // plain text, such as 64x64x32
  return setting
    .slice(0, at)
    .split('.')
    .reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Json;
}

function readConfigFile(path: string): Json {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {} // said below
  throw new UserError('config', {
    what: 'this is not a JSON object',
    where: path,
    fix: 'see the config.json of any run for the keys',
  });
}

/** @throws UserError of kind `config` naming each wrong key */
export function checkConfig(value: unknown, where: string): Config {
  const result = configSchema.safeParse(value);
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) =>
      path.length > 0 ? `${path.join('.')}: ${message}` : message,
    );
    throw new UserError('config', {
      what: problems.join('; '),
      where,
      fix: 'p2w graph --preset tiny --show-config prints every key',
    });
  }
  const config = result.data;
  const factor = 2 ** config.network.levels;
  if (config.whole.some((size) => size % factor !== 0))
    throw new UserError('config', {
      what: `${config.network.levels} poolings halve every size ${config.network.levels} times`,
      where: 'whole',
      got: config.whole.join('×'),
      expected: `multiples of ${factor}`,
    });
  if (config.microBatch !== null && config.batch % config.microBatch !== 0)
    throw new UserError('config', {
      what: 'the micro-batch does not divide the batch',
      where: 'microBatch',
      got: `${config.microBatch} for a batch of ${config.batch}`,
    });
  return config;
}

/** What changes a configuration, in this order. */
export interface ConfigChanges {
  /** A JSON file with some of the keys. */
  readonly file?: string;
  /** `key=value`. */
  readonly settings?: readonly string[];
  /** Values of flags of their own, such as `--steps`; undefined where a flag was not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

export interface ConfigSources extends ConfigChanges {
  readonly preset: PresetName;
}

/** A configuration with changes: file, then settings, then flags. @throws UserError for unknown keys and impossible values */
export function changeConfig(base: Config, { file, settings = [], flags = {} }: ConfigChanges): Config {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const layers: Json[] = [file ? readConfigFile(file) : {}, ...settings.map(parseSetting), given];
  return checkConfig(layers.reduce(merge, base), file ?? 'configuration');
}

/** A preset with changes. @throws UserError for unknown keys and impossible values */
export const resolveConfig = ({ preset, ...changes }: ConfigSources): Config =>
  changeConfig({ preset, ...PRESETS[preset] } as Config, changes);
