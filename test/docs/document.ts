import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../data/store/tiles-sample.js';

export const ROOT = resolve(import.meta.dirname, '../..');
const RUN_COMMANDS = join(import.meta.dirname, 'run-commands.mjs');
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');

/** The commands of a document's `sh` blocks, in order; those marked `ci` or `no-run` are run elsewhere or need data. */
function commandsOf(document: string): string[][] {
  const blocks = [...read(document).matchAll(/```sh\n([\s\S]*?)```/g)].map((match) =>
    match[1]!.replaceAll(/\\\n\s*/g, ''),
  );
  return blocks.flatMap((block) => block.trim().split('\n')).map((line) => line.trim().split(/\s+/));
}

/** Files that a document shows: blocks whose first line names them, such as ```csv scores.csv. */
function writeFilesOf(document: string, folder: string): void {
  for (const [, name, content] of read(document).matchAll(/```\w+ (\w+\.\w+)\n([\s\S]*?)```/g))
    writeFileSync(join(folder, name!), content!);
}

/**
 * Tests that a document tells the truth. Each has a file of its own, so that they run side by side.
 * @param least commands that it shows at least; 0 for a document that shows none
 */
export function testDocument(document: string, least: number): void {
  describe(document, () => {
    if (least === 0) test('shows no commands', () => expect(commandsOf(document)).toEqual([]));
    else
      test('every command that it shows works, in its order', async () => {
        const folder = temporaryFolder();
        writeFilesOf(document, folder);
        const commands = commandsOf(document);
        expect(commands.length).toBeGreaterThanOrEqual(least);
        for (const [program] of commands) expect(program).toBe('p2w');
        const lines = JSON.stringify(commands.map(([, ...args]) => args));
        const run = promisify(execFile)(process.execPath, [RUN_COMMANDS, lines], {
          cwd: folder,
          maxBuffer: 1e8,
        });
        await expect(run).resolves.toBeDefined();
      });

    test('its links lead somewhere', () => {
      const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1]!);
      for (const link of links) expect(existsSync(resolve(ROOT, document, '..', link)), link).toBe(true);
    });
  });
}
