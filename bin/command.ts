import type { ArgumentsCamelCase, Argv, InferredOptionTypes, Options, PositionalOptions } from 'yargs';
import { Parser } from 'yargs/helpers';
import type { Failure } from '../src/data/store/arrays.js';
import { abridged, UserError } from '../src/errors.js';
import type { Reporter } from '../src/progress.js';
import type { Shard } from '../src/shard.js';
import { say } from '../src/terminal.js';
import { terminalReporter } from '../src/terminal-progress.js';
import { COMMON_SWITCHES, commandIn } from './command-name.js';

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
  /** @param line what was typed @throws UserError for an option that there is not, before one that is missing is asked for */
  builder(args: Argv, line: readonly string[]): Argv;
  /** @param line what was typed */
  handler(args: ArgumentsCamelCase, line: readonly string[]): Promise<void>;
}

/** One subcommand: options, examples, and the one place where results are printed. */
export function command<
  const O extends Record<string, Option>,
  const P extends Positionals = Record<never, never>,
>(spec: Specification<O, P>): Loaded {
  const positionals: Positionals = spec.positionals ?? {};
  // They may be given by their names, too.
  const named = Object.fromEntries(Object.keys(positionals).map((name): [string, Option] => [name, {}]));
  return {
    builder: (args, line) => {
      refuseUnknown(line, { ...spec.options, ...named });
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

/** Each name as it is written, and as a program has it: `val-fraction`, `valFraction`. */
const spellings = (names: readonly string[]): string[] =>
  names.flatMap((name) => [name, Parser.camelCase(name)]);

/** @throws UserError naming what was typed as an option and is none */
function refuseUnknown(line: readonly string[], own: Record<string, Option>): void {
  const common = COMMON_SWITCHES.map((name): [string, Option] => [name, { boolean: true }]);
  const options: Record<string, Option> = { ...own, ...Object.fromEntries(common) };
  const names = spellings(Object.keys(options));
  const of = (is: (option: Option) => boolean | undefined) =>
    Object.keys(options).filter((name) => is(options[name]!));
  const parsed = (tokens: readonly string[]) => {
    const { _, ...given } = Parser([...tokens], {
      array: of(({ array }) => array),
      boolean: of(({ boolean: isSwitch }) => isSwitch),
      string: of(({ boolean: isSwitch }) => !isSwitch),
    });
    return Object.keys(given).filter((name) => !names.includes(name));
  };
  const unknown = parsed(line);
  if (unknown.length === 0) return;
  const typed = line.filter((token) => token.startsWith('-') && parsed([token]).length > 0);
  throw new UserError('usage', {
    what: `unknown option: ${abridged(typed.map((token) => token.split('=')[0]!))}`,
    fix: `see p2w ${commandIn(line)} --help for the options`,
  });
}

/** What was typed for each option, before yargs took it for a number or a switch. */
function typedOptions(line: readonly string[], options: Record<string, Options>): Map<string, unknown[]> {
  const names = Object.keys(options);
  const keys = spellings(names);
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

interface Failures {
  readonly failures: readonly Failure[];
}

/** What is said of whole scans. @param lines about those that are done @param wrote where their results are */
export function scansOutput(
  summary: Failures & { readonly scans: number },
  lines: readonly string[],
  wrote: string,
): Output {
  const { scans, failures } = summary;
  const text = [
    ...lines,
    ...failures.map(({ source }) => `${source}: failed (see above)`),
    scans === 0 ? 'none of the scans could be used: nothing was written' : wrote,
  ];
  return { text: text.join('\n'), json: summary, exitCode: scans === 0 ? 1 : 0 };
}

/** What is said of one shard's part. @param scans that are done */
export function shardOutput({ index, count }: Shard, scans: number, summary: Failures): Output {
  const { failures } = summary;
  const text = [
    ...failures.map(({ source, message }) => `failed: ${source}: ${message}`),
    `shard ${index} of ${count}: ${scans} scans done; when all shards are, run the command without --shard`,
  ];
  // A shard without any scan is none that failed.
  return { text: text.join('\n'), json: summary, exitCode: scans === 0 && failures.length > 0 ? 1 : 0 };
}

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
