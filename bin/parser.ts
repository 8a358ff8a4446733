import yargs, { type Argv, type CommandModule } from 'yargs';
import { UserError } from '../src/errors.js';
import { version } from '../src/version.js';
import { commandIn } from './command-name.js';
import { commands } from './commands/index.js';

/** Of an error that the `coerce` of an option throws, yargs keeps only the message, in an error of its own. */
function asUsageError(error: unknown): never {
  throw error instanceof Error && error.name === 'YError'
    ? new UserError('usage', { what: error.message })
    : error;
}

/** What its types leave out. */
interface YargsInternals {
  getInternalMethods(): { getUsageInstance(): { cacheHelpMessage(): void } };
}

/**
 * Of a command that it runs, yargs formats the help, to have it at hand for an error: a fifth of a start, and `fail` below
 * shows none.
 */
function withoutHelpAtHand(args: Argv): Argv {
  (args as unknown as YargsInternals).getInternalMethods().getUsageInstance().cacheHelpMessage = () => {};
  return args;
}

/** What yargs has against a line, which says of a command that there is not only which one may be meant. */
const misread = (message: string, line: readonly string[]) =>
  message.startsWith('Did you mean')
    ? new UserError('usage', { what: `unknown command: ${commandIn(line)}`, fix: message })
    : new UserError('usage', { what: message, fix: 'see p2w <command> --help for the options' });

/** Parses a command line, and does what it says. */
export const parse = (line: readonly string[]) =>
  yargs(line)
    .scriptName('p2w')
    // As all other texts are.
    .locale('en')
    .usage('$0 <command>\n\nPre-trains, exports and runs 3D medical-image encoders on ONNX Runtime.')
    .command(
      commands.map(
        ({ usage, describe, load }): CommandModule => ({
          command: usage,
          describe,
          builder: async (args) => (await load()).default.builder(withoutHelpAtHand(args), line),
          handler: async (args) => (await load()).default.handler(args, line),
        }),
      ),
    )
    .option('json', {
      boolean: true,
      default: false,
      describe: 'print one JSON object as the last line of stdout',
    })
    .demandCommand(1, 'give a command; `p2w --help` lists them')
    .strict()
    .recommendCommands()
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .version(version)
    .epilogue('For research use only. Not a medical device.')
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? misread(message, line);
    })
    .parseAsync()
    .catch(asUsageError);
