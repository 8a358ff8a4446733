/** What decides a pre-training run: one schema, filled in from preset, then file, then what was asked for. */
import * as z from 'zod';
import { PROXIES } from '../data/proxies/names.js';
import { INTENSITIES, NORMALISATIONS, type Normalisation } from '../data/scan/normalise.js';
import { windowSchema } from '../data/store/wholes.js';
import { UserError } from '../errors.js';
import { blamedOf, type ConfigChanges, parseConfig, withChanges } from './layers.js';
import { checkTraining, KERAS_NORM, sizeSchema, TRAINING_DEFAULTS, trainingSchema } from './training.js';

const range = z.tuple([z.number().positive(), z.number().positive()]).refine(([low, high]) => low <= high, {
  error: 'the first number must not be greater than the second',
});

export const configSchema = z.strictObject({
  preset: z.enum(['tiny', 'small', 'genesis', 'genesis-sgd', 'paper']),
  /** What the network is trained to do: redraw wholes from their parts, or restore corrupted wholes. */
  proxy: z.enum(PROXIES).default('parts2whole'),
  /** Voxels of wholes and of resized parts, x×y×z; tiles of an integer multiple are averaged down to it. */
  whole: sizeSchema,
  /** What the values of tiles are, as `prepare --normalise` made them. */
  normalise: z.enum(NORMALISATIONS).default('hu'),
  /** Values of tiles that become 0 and 1: HU, or thousandths of what `normalise` divides by. */
  window: windowSchema,
  /** Parts of Parts2Whole, and of the analysis of either proxy's features. */
  part: z.strictObject({
    /** Least and most share of the whole's volume. */
    scale: range.refine(([, high]) => high <= 1, {
      error: 'a part cannot be larger than the whole, which is 1',
    }),
    ratio: range,
    isotropic: z.boolean(),
  }),
  /** Most change of a part's intensities, as a share of the window, while it is trained on: see `drawIntensity`. */
  intensity: z.number().min(0).lt(1).default(0),
  /** A term that pulls the features of two parts of a whole together and pushes those of others away; 0 is none. */
  contrastive: z
    .strictObject({ weight: z.number().min(0), temperature: z.number().positive() })
    .default({ weight: 0, temperature: 0.7 }),
  /** Weights to begin with, of the same network: a run's folder, or a file; random ones without it. */
  init: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .transform((init) => (init === 'random' ? null : init)),
  ...trainingSchema.shape,
});

export type Config = z.infer<typeof configSchema>;
export type PresetName = Config['preset'];

const NETWORK = { levels: 3, skip: false, upsampling: 'nearest' } as const;

const BASE = {
  ...TRAINING_DEFAULTS,
  proxy: 'parts2whole',
  normalise: 'hu',
  window: INTENSITIES.hu.window,
  part: { scale: [1 / 16, 1 / 4], ratio: [3 / 4, 4 / 3], isotropic: false },
  intensity: 0,
  contrastive: { weight: 0, temperature: 0.7 },
  init: null,
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
    validation: { every: 50, samples: 128 },
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

/**
 * @param where what the value was read from, or what each of its paths was
 * @throws UserError of kind `config` naming each wrong key
 */
export function checkConfig(
  value: unknown,
  where: string | ((path: readonly PropertyKey[]) => string),
): Config {
  const fix = 'p2w graph --preset tiny --show-config prints every key';
  const config = parseConfig(configSchema, value, where, fix);
  checkTraining(config, config.whole, 'whole');
  if (config.proxy === 'genesis' && !config.network.skip)
    throw new UserError('config', {
      what: 'Models Genesis needs a network with skip connections',
      where: 'network.skip',
      got: 'false',
      expected: 'true, with --proxy genesis',
    });
  checkExtensions(config);
  return config;
}

/** What goes beyond the paper belongs to Parts2Whole. */
function checkExtensions({ proxy, intensity, contrastive, batch, microBatch }: Config): void {
  const extended = contrastive.weight > 0 ? 'contrastive.weight' : intensity > 0 ? 'intensity' : null;
  if (proxy === 'genesis' && extended)
    throw new UserError('config', {
      what: 'this setting applies to parts, which Models Genesis does not have',
      where: extended,
      expected: '0, with --proxy genesis',
    });
  const size = microBatch ?? batch;
  if (contrastive.weight > 0 && (size % 2 !== 0 || size < 4))
    throw new UserError('config', {
      what: 'the contrastive term needs two parts of each whole, and at least two wholes, at once',
      where: microBatch === null ? 'batch' : 'microBatch',
      got: String(size),
      expected: 'an even number, at least 4',
    });
}

export interface ConfigSources extends ConfigChanges<Config> {
  /** What is changed, unless the changes name another one; `tiny` without either. */
  readonly preset?: PresetName | undefined;
  /** What the tiles hold; HU without it. */
  readonly normalise?: Normalisation;
}

/** A configuration with changes. @throws UserError for unknown keys, impossible values, and another preset */
export function changeConfig(base: Config, changes: ConfigChanges<Config>): Config {
  const config = checkConfig(withChanges(base, changes), blamedOf(changes));
  if (config.preset === base.preset) return config;
  throw new UserError('config', {
    what: 'a preset is what a run begins with: it cannot be changed afterwards',
    where: 'preset',
    got: config.preset,
    expected: base.preset,
  });
}

/**
 * A preset with changes; for Models Genesis its network has skip connections, and the window is one for the values.
 * @throws UserError as {@link checkConfig}
 * @example
 * const config = resolveConfig({ preset: 'small', config: { network: { width: 8 }, steps: 100 } });
 */
export function resolveConfig({
  preset: usual = 'tiny',
  normalise: given = 'hu',
  ...changes
}: ConfigSources): Config {
  const preset = withChanges({ preset: usual }, changes).preset as PresetName;
  // A name that none has is refused below, with all else that is wrong.
  const values = Object.hasOwn(PRESETS, preset) ? PRESETS[preset] : PRESETS.tiny;
  const base = { preset, ...values, normalise: given };
  const { proxy, normalise } = withChanges(base, changes);
  const window = INTENSITIES[normalise as Normalisation]?.window ?? base.window;
  const network = { ...base.network, skip: base.network.skip || proxy === 'genesis' };
  return changeConfig({ ...base, window, network }, changes);
}
