import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** The bundles that a command line loads. Above what is left of a module stands its name, as in `//! src/errors.ts`. */
function loadedBy(args: readonly string[]): string {
  const hooks = `import { writeSync } from 'node:fs';
    export const load = (url, context, next) => (writeSync(2, url + '\\n'), next(url, context));`;
  const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const register = url(`import { register } from 'node:module'; register(${JSON.stringify(url(hooks))});`);
  const { stderr } = spawnSync(process.execPath, ['--import', register, 'dist/bin/p2w.js', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const bundles = [...stderr.matchAll(/^file:.*\/(dist\/bin\/.*\.js)$/gm)];
  return bundles.map(([, bundle]) => readFileSync(join(ROOT, bundle!), 'utf8')).join('\n');
}

describe('the bundled command line', () => {
  test.each([
    [['--help'], []],
    [['inspect', '--help'], ['inspect']],
  ])('%j loads no other command', (args, loaded) => {
    const found = [...loadedBy(args).matchAll(/\/\/! (\S+\.ts)$/gm)].map(([, name]) => name!);
    expect(found.filter((file) => file.startsWith('bin/commands/')).sort()).toEqual(
      ['index', ...loaded].map((name) => `bin/commands/${name}.ts`),
    );
    if (loaded.length === 0)
      expect(found.filter((file) => /^(src|graphs)\//.test(file)).sort()).toEqual([
        'graphs/onnx/version.ts',
        'src/errors.ts',
        'src/files.ts',
        'src/parent.ts',
        'src/terminal.ts',
        'src/termination.ts',
        'src/version.ts',
      ]);
  });

  test('--version loads no parser', () => {
    const loaded = loadedBy(['--version']);
    expect(loaded).toMatch(/\/\/! bin\/p2w\.ts/);
    expect(loaded).not.toMatch(/yargs|bin\/(parser|commands)/);
    expect(loadedBy(['--help'])).toMatch(/yargs/);
  });

  test('is in English, whatever the language of the user', () => {
    const env = { ...process.env, LANG: 'fr_FR.UTF-8', LC_ALL: 'fr_FR.UTF-8' };
    const run = (...how: string[]) =>
      execFileSync(process.execPath, [...how, 'inspect', '--help'], { cwd: ROOT, encoding: 'utf8', env });
    expect(run('dist/bin/p2w.js')).toMatch(/Show help/);
    expect(run('--import', 'tsx', 'bin/p2w.ts')).toMatch(/Show help/);
  });

  test('comes with the licences of the packages in its bundles', () => {
    const licences = readFileSync(join(ROOT, 'dist/bin/licences.txt'), 'utf8');
    for (const name of ['yargs', 'zod', 'protobufjs', 'nifti-reader-js'])
      expect(licences).toMatch(new RegExp(`^${name} [\\d.]+: (MIT|BSD-3-Clause)\n\n\\S`, 'm'));
    expect(licences).not.toMatch(/^\S+ [\d.]+: (undefined|GPL|AGPL)/m);
  });

  test('runs from its sources, too', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    expect(run('--import', 'tsx', 'bin/p2w.ts', '--version')).toBe(`${version}\n`);
    expect(run('dist/bin/p2w.js', '--version')).toBe(`${version}\n`);
  });
});
