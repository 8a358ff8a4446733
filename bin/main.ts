import { UserError } from '../src/errors.js';
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

/**
 * Does what a command line says, and prints it.
 * @param line what was typed after `p2w`
 * @returns the exit code of an error; null without one
 */
export async function main(line: readonly string[]): Promise<number | null> {
  try {
    // Most of the time that a version takes would be the loading of yargs.
    if (line.join(' ') === '--version') say(version);
    else await (await import('./parser.js')).parse(line);
    return null;
  } catch (error) {
    return report(error, line.includes('--json'));
  }
}
