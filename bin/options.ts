/** Options that several commands share. */
import type { InferredOptionTypes, Options } from 'yargs';
import { PRESET_NAMES } from '../src/config/pretraining.js';
import { PRECISIONS, parseMemory } from '../src/config/training.js';
import { TASK_ALIASES } from '../src/data/adapters/aliases.js';
import { PROXIES } from '../src/data/proxies/names.js';
import type { Reporter } from '../src/progress.js';
import { DEVICES, ENGINES } from '../src/runtime/device.js';
import { parseShard, type Shard } from '../src/shard.js';
import { parseSize } from './values.js';

/** A target task by its name, or by that of its data set. */
export const taskOption = <const Name extends string>(names: readonly Name[], describe: string) =>
  ({
    choices: names,
    coerce: (name: string) => (TASK_ALIASES.get(name) ?? name) as Name,
    describe: `${describe}; ${[...TASK_ALIASES].map(([alias, name]) => `${alias} is ${name}`).join(', ')}`,
  }) as const satisfies Options;

export const keepUidsOption = {
  boolean: true,
  default: false,
  describe: 'name DICOM series by their UIDs, which may lead to the patient, instead of by hashes of them',
} as const;

/** Where to run. */
export const deviceOption = {
  string: true,
  describe: `${DEVICES}; auto is the CPU`,
} as const satisfies Options;

/** Which share of the scans to do. */
export const shardOption = {
  string: true,
  coerce: (text: string | undefined): Shard | undefined =>
    text === undefined ? undefined : parseShard(text),
  describe: 'do only part i of N of the scans, as i/N; the command without it, run last, joins the parts',
} as const satisfies Options;

/** The options of all commands that run a model on whole scans. */
export const wholeScanOptions = (model: string) =>
  ({
    model: { string: true, demandOption: true, describe: model },
    input: { string: true, array: true, demandOption: true, describe: 'scans, or folders of scans' },
    window: {
      string: true,
      describe: 'voxels of a window, x×y×z; default: the size the model was trained on',
    },
    batch: { number: true, defaultDescription: '1', describe: 'windows that are computed at once' },
    device: deviceOption,
    threads: { number: true, default: 0, describe: 'threads of ONNX Runtime; 0 is one a core' },
    'keep-uids': keepUidsOption,
    shard: shardOption,
  }) as const satisfies Record<string, Options>;

/** {@link wholeScanOptions} as functions take them. */
export const wholeScans = (
  args: InferredOptionTypes<ReturnType<typeof wholeScanOptions>>,
  reporter: Reporter,
) => ({
  reporter,
  model: args.model,
  input: args.input,
  ...(args.batch === undefined ? {} : { batch: args.batch }),
  threads: args.threads,
  keepUids: args['keep-uids'],
  ...(args.shard ? { shard: args.shard } : {}),
  ...(args.window ? { window: parseSize(args.window, '--window') } : {}),
  ...(args.device ? { device: args.device } : {}),
});

/** What a training computes in. */
export const precisionOption = {
  choices: PRECISIONS,
  describe:
    'fp32 (default); tf32: products with 10 bits on NVIDIA GPUs; amp: float16 with float32 weights and loss scaling',
} as const satisfies Options;

/** How much memory a training may take. */
export const memoryOption = {
  string: true,
  coerce: (text: string | undefined): number | undefined =>
    text === undefined ? undefined : parseMemory('--memory', text),
  describe:
    'memory that the training may take, for example 24GB: parts of the network are recomputed if need be, which takes longer',
} as const satisfies Options;

/** What runs it there. */
export const engineOption = {
  choices: ENGINES,
  describe:
    'ONNX Runtime for Node.js (node, default) or its WebAssembly builds: onnxruntime-web, -training-web',
} as const satisfies Options;

/** The options that choose a configuration, shared by `pretrain` and `graph`. */
export const configOptions = {
  preset: {
    choices: PRESET_NAMES,
    describe:
      'size of the network and its images: tiny 32x32x16 w8, small 64x64x32 w16, genesis 64x64x32 w32, paper 128x128x64 w32',
  },
  proxy: {
    choices: PROXIES,
    describe:
      'proxy task: parts2whole reconstructs full images (wholes) from crops (parts) (default), genesis restores corrupted wholes',
  },
  config: { string: true, describe: 'JSON file with any of the keys of a run’s config.json' },
  set: {
    string: true,
    array: true,
    default: [] as string[],
    describe: 'set a key of the configuration: --set network.width=16',
  },
} as const satisfies Record<string, Options>;
