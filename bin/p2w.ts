#!/usr/bin/env node
import { UserError } from '../src/errors.js';
import { endWithParent } from '../src/parent.js';
import { say, tell } from '../src/terminal.js';
import { version } from '../src/version.js';

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
try {
  // Most of the time that a version takes would be the loading of yargs.
  if (process.argv.slice(2).join(' ') === '--version') say(version);
  else await (await import('./parser.js')).parser.parseAsync();
} catch (error) {
  exit(report(error, json));
}
