import type { ArgumentsCamelCase, Argv, InferredOptionTypes, Options, PositionalOptions } from 'yargs';
import { Parser } from 'yargs/helpers';
import { PRESET_NAMES } from '../src/config/pretraining.js';
import { PRECISIONS, parseMemory } from '../src/config/training.js';
import { TASK_ALIASES } from '../src/data/adapters/aliases.js';
import { PROXIES } from '../src/data/proxies/names.js';
import type { XYZ } from '../src/data/scan/volume.js';
import { UserError } from '../src/errors.js';
import type { Reporter } from '../src/progress.js';
import { DEVICES, ENGINES } from '../src/runtime/device.js';
import { parseShard, type Shard } from '../src/shard.js';
import { say } from '../src/terminal.js';
import { terminalReporter } from '../src/terminal-progress.js';

/** What a command has to say: to people, and with `--json` to programs. */
export interface Output {
  readonly text: string;
  /** Null where another process says it. */
  readonly json: object | null;
  /** 0 unless something went wrong that did not stop the command. */
  readonly exitCode?: number;
}

/** An option; one that is `bare` may be given without a value, which is then ''. */
type Option = Options & { readonly bare?: boolean };
type Positionals = Record<string, PositionalOptions>;

interface Specification<O extends Record<string, Option>, P extends Positionals> {
  readonly options: O;
  /** Those that `usage` names. */
  readonly positionals?: P;
  readonly examples: readonly (readonly [command: string, says: string])[];
  readonly run: (args: InferredOptionTypes<O & P>, reporter: Reporter) => Promise<Output>;
}

/** A command that has been loaded, as yargs takes it. */
export interface Loaded {
  builder(args: Argv): Argv;
  /** @param line what was typed */
  handler(args: ArgumentsCamelCase, line: readonly string[]): Promise<void>;
}

/** One subcommand: options, examples, and the one place where results are printed. */
export function command<
  const O extends Record<string, Option>,
  const P extends Positionals = Record<never, never>,
>(spec: Specification<O, P>): Loaded {
  const positionals: Positionals = spec.positionals ?? {};
  return {
    builder: (args) => {
      args.options(spec.options);
      for (const [name, positional] of Object.entries(positionals)) args.positional(name, positional);
      return args.example(spec.examples.map(([line, says]): [string, string] => [line, says]));
    },
    handler: async (args, line) => {
      refuseMisread(line, spec.options);
      const output = await spec.run(args as never, terminalReporter);
      if (args.json && output.json) say(JSON.stringify(output.json));
      else if (output.text) say(output.text);
      process.exitCode = output.exitCode ?? 0;
    },
  };
}

/** What was typed for each option, before yargs took it for a number or a switch. */
function typedOptions(line: readonly string[], options: Record<string, Options>): Map<string, unknown[]> {
  const names = Object.keys(options);
  const keys = names.flatMap((name) => [name, Parser.camelCase(name)]);
  const array = keys.filter((key) => options[key]?.array);
  const texts = Parser([...line], { string: keys, array });
  const valueFor = (name: string): unknown => texts[name] ?? texts[Parser.camelCase(name)];
  const given = names.filter((name) => valueFor(name) !== undefined);
  return new Map(given.map((name) => [name, [valueFor(name)].flat()]));
}

/** @throws UserError for an option without a value, with several where it takes one, or with another kind of value */
function refuseMisread(line: readonly string[], options: Record<string, Option>): void {
  for (const [name, values] of typedOptions(line, options)) {
    const { array, number, boolean: isSwitch, bare } = options[name]!;
    const got = values
      .map((value) => (typeof value === 'object' ? JSON.stringify(value) : value))
      .join(' and ');
    const refuse = (what: string) =>
      new UserError('usage', { what, where: `--${name}`, got: got || 'nothing' });
    if (values.length > 1 && !array) throw refuse('this option takes only one value');
    if (isSwitch && values.some((value) => !/^(true|false)?$/.test(String(value))))
      throw refuse('this option takes no value');
    if (isSwitch || (bare && got === '')) continue;
    if (values.length === 0 || values.some((value) => typeof value !== 'string' || value === ''))
      throw refuse('this option needs a value');
    if (number && values.some((value) => Number.isNaN(Number(value))))
      throw refuse('this option must be a number');
  }
}

/** Three numbers, such as `0.7x0.7x1.5`. @throws UserError when they are none */
export function parseTriple(where: string, text: string): XYZ {
  const values = text.split(/[x×]/).map(Number);
  if (values.length !== 3 || values.some((value) => !(value > 0 && Number.isFinite(value))))
    throw new UserError('usage', {
      what: 'this must be three numbers, x×y×z',
      where,
      got: text,
      expected: 'for example 1x1x2.5',
    });
  return values as unknown as XYZ;
}

/** `128x128x64` as x, y, z. @param where the option @throws UserError when it is no size */
export function parseSize(text: string, where = '--size'): XYZ {
  const sizes = text.split(/[x×]/).map(Number);
  if (sizes.length !== 3 || sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new UserError('usage', {
      what: 'a size must be three positive integers, x×y×z',
      where,
      got: text,
      expected: 'for example 128x128x64',
    });
  return sizes as unknown as XYZ;
}

/** `x,y,z,x,y,z` as the first and the last voxel of a box. @throws UserError when it is none */
export function parseBox(text: string, where = '--box'): readonly [XYZ, XYZ] {
  const values = text.split(',').map(Number);
  if (values.length !== 6 || values.some((value) => !Number.isSafeInteger(value)))
    throw new UserError('usage', {
      what: 'a box must be six integers: its first and its last voxel',
      where,
      got: text,
      expected: 'for example 40,60,20,79,99,39',
    });
  return [values.slice(0, 3), values.slice(3)] as unknown as readonly [XYZ, XYZ];
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `500M` as bytes. @param where the option @throws UserError when it is no size of a file */
export function parseBytes(where: string, text: string): number {
  const [, digits, unit] = /^(\d+)([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit?.toUpperCase() ?? ''] ?? 0);
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw new UserError('usage', {
    what: 'this is not a number of bytes',
    where,
    got: text,
    expected: 'for example 500M or 2G',
  });
}

/** `a,b` as names. */
export const parseNames = (text: string): string[] => text.split(',').map((name) => name.trim());

/** `name=value` of each text. @throws UserError when one is not written so */
export function parsePairs(where: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new UserError('usage', { what: 'this must be written as name=value', where, got: text });
    }),
  );
}

/** Sizes of inputs by their names, each as `name=1x1x32x32x32`. @throws UserError when one is not written so */
export function parseInputSizes(texts: readonly string[]): Record<string, number[]> {
  const where = '--input-size';
  return Object.fromEntries(
    Object.entries(parsePairs(where, texts)).map(([name, text]) => {
      const sizes = text.split(/[x×]/).map(Number);
      if (sizes.every((size) => Number.isSafeInteger(size) && size > 0)) return [name, sizes];
      throw new UserError('usage', {
        what: 'the sizes of an input must be positive integers',
        where,
        got: `${name}=${text}`,
        expected: 'for example image=1x1x32x32x32',
      });
    }),
  );
}

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

/** What is said of one shard's part. @param scans that are done */
export function shardOutput(
  { index, count }: Shard,
  scans: number,
  summary: object & { readonly failures: readonly { readonly source: string; readonly message: string }[] },
): Output {
  const { failures } = summary;
  const text = [
    ...failures.map(({ source, message }) => `failed: ${source}: ${message}`),
    `shard ${index} of ${count}: ${scans} scans done; when all shards are, run the command without --shard`,
  ];
  // A shard without any scan is none that failed.
  return { text: text.join('\n'), json: summary, exitCode: scans === 0 && failures.length > 0 ? 1 : 0 };
}

/** The options of all commands that run a model on whole scans. */
export const wholeScanOptions = (model: string) =>
  ({
    model: { string: true, demandOption: true, describe: model },
    input: { string: true, array: true, demandOption: true, describe: 'scans, or folders of scans' },
    window: {
      string: true,
      describe: 'voxels of a window, x×y×z; default: the size the model was trained on',
    },
    batch: { number: true, default: 1, describe: 'windows that are computed at once' },
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
  batch: args.batch,
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

/** True after the first Ctrl-C; the second ends the process at once. */
export function onInterrupt(reporter: Reporter): () => boolean {
  let asked = false;
  const handle = () => {
    if (asked) process.exit(130);
    asked = true;
    reporter.log('\nfinishing the step, then saving (press Ctrl-C again to quit immediately)');
  };
  // The last for ranks of Open MPI, whose mpirun hands it on and waits; right after the others it kills them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR2'] as const) process.on(signal, handle);
  return () => asked;
}

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
