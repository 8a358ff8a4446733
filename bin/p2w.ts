#!/usr/bin/env node
import { fstatSync } from 'node:fs';
import { fromSystemError } from '../src/errors.js';
import { writeAll } from '../src/files.js';
import { endWithParent } from '../src/parent.js';
import { tell } from '../src/terminal.js';
import { exitWhenTerminated } from '../src/termination.js';
import { main } from './main.js';

const { stdout, stderr } = process;

// What did not fit onto a full disk at once, Node.js forgets.
if (fstatSync(stdout.fd).isFile())
  stdout._write = (bytes: Uint8Array, _, done) => {
    try {
      writeAll(stdout.fd, bytes);
      done();
    } catch (error) {
      done(error as Error);
    }
  };
stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`p2w … | head`) is no error.
  if (error.code === 'EPIPE') process.exit(0);
  tell(`p2w: ${fromSystemError(error, 'stdout').message}`);
  process.exit(1);
});
// Progress that cannot be shown, as on a full disk, ends nothing.
stderr.on('error', () => {});

exitWhenTerminated();

// Begun with a channel, by an experiment: what it began ends with it.
if (process.channel) endWithParent();

/** Ends when all has been said: an error may have left something open, which must not hold the process up. */
function exit(code: number): void {
  stdout.write('', () => stderr.write('', () => process.exit(code)));
}

const failed = await main(process.argv.slice(2));
if (failed !== null) exit(failed);
