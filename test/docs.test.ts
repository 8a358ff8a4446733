import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from './data/tiles-sample.js';
import { p2w } from './tasks/cli.js';

const root = resolve(import.meta.dirname, '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');

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

describe.each([
  ['README.md', 3],
  ['docs/data-preparation.md', 3],
  ['docs/pre-training.md', 5],
  ['docs/evaluation.md', 5],
  ['docs/fine-tuning.md', 7],
  ['docs/graphs.md', 3],
  ['docs/experiments.md', 4],
  ['docs/analysis.md', 6],
  ['docs/target-tasks.md', 3],
  ['docs/performance.md', 2],
  ['docs/gpu.md', 1],
  ['docs/runtimes.md', 7],
  ['docs/browser.md', 0],
  ['docs/federated.md', 15],
])('%s', (document, least) => {
  test('every command that it shows works, in its order', { timeout: 180_000 }, async () => {
    const folder = temporaryFolder();
    writeFilesOf(document, folder);
    const commands = commandsOf(document);
    expect(commands.length).toBeGreaterThanOrEqual(least);
    for (const [program, ...args] of commands) {
      expect(program).toBe('p2w');
      const { code, stderr } = await p2w(args, folder);
      expect(code, `p2w ${args.join(' ')}\n${stderr}`).toBe(0);
    }
  });

  test('its links lead somewhere', () => {
    const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1]!);
    for (const link of links) expect(existsSync(resolve(root, document, '..', link)), link).toBe(true);
  });
});

test('the example runs', () => {
  const folder = temporaryFolder();
  execFileSync(
    process.execPath,
    [join(root, 'dist/bin/p2w.js'), 'phantom', '--out', folder, '--scans', '4', '--size', '64x64x32'],
    { stdio: 'ignore' },
  );
  const output = execFileSync(
    process.execPath,
    ['--import', 'tsx', join(root, 'examples/pretrain.ts'), join(folder, 'scans'), join(folder, 'out'), '3'],
    {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  expect(output).toMatch(/step 3, best validation MSE 0\.\d+/);
  expect(existsSync(join(folder, 'out/encoder/encoder.onnx'))).toBe(true);
});
