import type { Argv, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { PRESET_NAMES } from '../src/config.js';
import type { XYZ } from '../src/data/volume.js';
import { UserError } from '../src/errors.js';
import { DEVICES } from '../src/runtime/device.js';

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
      const output = await spec.run(args as never);
      if (!args.json && output.text) process.stdout.write(`${output.text}\n`);
      if (args.json) process.stdout.write(`${JSON.stringify(output.json)}\n`);
      process.exitCode = output.exitCode ?? 0;
    },
  };
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

/** Where to run. */
export const deviceOption = {
  string: true,
  describe: `${DEVICES}; auto is the CPU`,
} as const satisfies Options;

/** The options that choose a configuration, shared by `pretrain` and `graph`. */
export const configOptions = {
  preset: {
    choices: PRESET_NAMES,
    describe:
      'size of network and images: tiny 32x32x16 w8, small 64x64x32 w16, genesis 64x64x32 w32, paper 128x128x64 w32',
  },
  config: { string: true, describe: 'JSON file with some of the keys of a run’s config.json' },
  set: {
    string: true,
    array: true,
    default: [] as string[],
    describe: 'one key of the configuration: --set network.width=16',
  },
} as const satisfies Record<string, Options>;
