import { Parser } from 'yargs/helpers';

/** Options of every command, which take no values. */
export const COMMON_SWITCHES: readonly string[] = ['json', 'help', 'version'];

/** The command in a line, whatever stands before it. */
export const commandIn = (line: readonly string[]): string =>
  String(Parser([...line], { boolean: [...COMMON_SWITCHES] })._[0] ?? '<command>');
