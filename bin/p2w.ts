#!/usr/bin/env node
import yargs, { type CommandModule } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { UserError } from '../src/errors.js';
import { endWithParent } from '../src/parent.js';
import { say, tell } from '../src/terminal.js';
import { version } from '../src/version.js';
import { commands } from './commands/index.js';

/** 2 for what the user typed, 1 for what happened. */
const exitCodeOf = (error: UserError) => (error.kind === 'usage' || error.kind === 'config' ? 2 : 1);

/** The one place where errors are printed. A UserError is for the user; anything else is our defect, and says so. */
function report(error: unknown, json: boolean): number {
  if (error instanceof UserError) {
    tell(`p2w: ${error.message}`);
    if (json) say(JSON.stringify({ error: { kind: error.kind, ...error.facts, cause: undefined } }));
    return exitCodeOf(error);
  }
  const text = error instanceof Error ? (process.env.P2W_DEBUG ? error.stack : error.message) : String(error);
  tell(`p2w: internal error, please report it: ${text}\n(set P2W_DEBUG=1 to see where it happened)`);
  if (json) say(JSON.stringify({ error: { kind: 'internal', what: String(text) } }));
  return 70;
}

// A reader that has seen enough (`p2w … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// Begun with a channel, by an experiment: what it began ends with it.
if (process.channel) endWithParent();

/** Ends when all has been said: an error may have left something open, which must not hold the process up. */
function exit(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

const json = process.argv.includes('--json');
const parser = yargs(hideBin(process.argv))
  .scriptName('p2w')
  .usage('$0 <command>\n\nPre-trains, exports and runs 3D medical-image encoders on ONNX Runtime.')
  .command(
    commands.map(
      ({ usage, describe, load }): CommandModule => ({
        command: usage,
        describe,
        builder: async (args) => (await load()).default.builder(args),
        handler: async (args) => (await load()).default.handler(args),
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
  .wrap(Math.min(110, process.stdout.columns ?? 110))
  .version(version)
  .epilogue('For research use only. Not a medical device.')
  .exitProcess(false)
  .fail((message, error) => {
    throw error ?? new UserError('usage', { what: message, fix: 'see p2w <command> --help for the options' });
  });

try {
  await parser.parseAsync();
} catch (error) {
  exit(report(error, json));
}
