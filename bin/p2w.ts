#!/usr/bin/env node
import { endWithParent } from '../src/parent.js';
import { exitWhenTerminated } from '../src/termination.js';
import { main } from './main.js';

// A reader that has seen enough (`p2w … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

exitWhenTerminated();

// Begun with a channel, by an experiment: what it began ends with it.
if (process.channel) endWithParent();

/** Ends when all has been said: an error may have left something open, which must not hold the process up. */
function exit(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

const failed = await main(process.argv.slice(2));
if (failed !== null) exit(failed);
