import type { Argv, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { PRESET_NAMES } from '../src/config/pretraining.js';
import { PROXIES } from '../src/config/proxies.js';
import type { XYZ } from '../src/data/volume.js';
import { UserError } from '../src/errors.js';
import { DEVICES, ENGINES } from '../src/runtime/device.js';

/** What a command has to say: to people, and with `--json` to programs. */
export interface Output {
  readonly text: string;
  readonly json: object;
  /** 0 unless something went wrong that did not stop the command. */
  readonly exitCode?: number;
}

interface Specification<O extends Record<string, Options>> {
  /** Name, then positional arguments as yargs writes them. */
  readonly usage: string;
  readonly describe: string;
  readonly options: O;
  readonly positional?: (args: Argv) => Argv;
  readonly examples: readonly (readonly [command: string, says: string])[];
  readonly run: (args: InferredOptionTypes<O> & { readonly _: (string | number)[] }) => Promise<Output>;
}

/** One subcommand: options, examples, and the one place where results are printed. */
export function command<const O extends Record<string, Options>>(spec: Specification<O>): CommandModule {
  return {
    command: spec.usage,
    describe: spec.describe,
    builder: (args) => {
      const withOptions = args.options(spec.options);
      const all = spec.positional ? spec.positional(withOptions) : withOptions;
      return all.example(spec.examples.map(([line, says]): [string, string] => [line, says]));
    },
    handler: async (args) => {
      refuseMisread(args, spec.options);
      const output = await spec.run(args as never);
      if (!args.json && output.text) process.stdout.write(`${output.text}\n`);
      if (args.json) process.stdout.write(`${JSON.stringify(output.json)}\n`);
      process.exitCode = output.exitCode ?? 0;
    },
  };
}

/** @throws UserError for an option without a value, with several where it takes one, or with text where it takes a number */
function refuseMisread(args: Readonly<Record<string, unknown>>, options: Record<string, Options>): void {
  for (const [name, { array, number }] of Object.entries(options)) {
    const refuse = (what: string, got: string) => new UserError('usage', { what, where: `--${name}`, got });
    const values = [args[name]].flat();
    if (values.length > 1 && !array) throw refuse('this option takes one value', values.join(' and '));
    if (number && values.some(Number.isNaN)) throw refuse('this option takes a number', 'something else');
    if (values.includes('')) throw refuse('this option takes a value', 'nothing');
  }
}

/** Three numbers, such as `0.7x0.7x1.5`. @throws UserError when they are none */
export function parseTriple(where: string, text: string): XYZ {
  const values = text.split(/[x×]/).map(Number);
  if (values.length !== 3 || values.some((value) => !(value > 0 && Number.isFinite(value))))
    throw new UserError('usage', {
      what: 'this is three numbers, x×y×z',
      where,
      got: text,
      expected: 'such as 1x1x2.5',
    });
  return values as unknown as XYZ;
}

/** `128x128x64` as x, y, z. @throws UserError when it is no size */
export function parseSize(text: string): XYZ {
  const sizes = text.split(/[x×]/).map(Number);
  if (sizes.length !== 3 || sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new UserError('usage', {
      what: 'a size is three whole numbers, x×y×z',
      where: '--size',
      got: text,
      expected: 'such as 128x128x64',
    });
  return sizes as unknown as XYZ;
}

/** `a,b` as names. */
export const parseNames = (text: string): string[] => text.split(',').map((name) => name.trim());

/** `name=value` of each text. @throws UserError when one is not written so */
export function parsePairs(where: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
      throw new UserError('usage', { what: 'this is written name=value', where, got: text });
    }),
  );
}

/** Where to run. */
export const deviceOption = {
  string: true,
  describe: `${DEVICES}; auto is the CPU`,
} as const satisfies Options;

/** What runs it there. */
export const engineOption = {
  choices: ENGINES,
  describe:
    'ONNX Runtime for Node.js (node, default) or its WebAssembly builds: onnxruntime-web, -training-web',
} as const satisfies Options;

/** True after the first Ctrl-C; the second ends the process at once. */
export function onInterrupt(): () => boolean {
  let asked = false;
  const handle = () => {
    if (asked) process.exit(130);
    asked = true;
    process.stderr.write('\nfinishing the step, then saving (Ctrl-C again to quit at once)\n');
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => asked;
}

/** The options that choose a configuration, shared by `pretrain` and `graph`. */
export const configOptions = {
  preset: {
    choices: PRESET_NAMES,
    describe:
      'size of network and images: tiny 32x32x16 w8, small 64x64x32 w16, genesis 64x64x32 w32, paper 128x128x64 w32',
  },
  proxy: {
    choices: PROXIES,
    describe:
      'what to train for: parts2whole redraws wholes from parts (default), genesis restores corrupted wholes',
  },
  config: { string: true, describe: 'JSON file with some of the keys of a run’s config.json' },
  set: {
    string: true,
    array: true,
    default: [] as string[],
    describe: 'one key of the configuration: --set network.width=16',
  },
} as const satisfies Record<string, Options>;
