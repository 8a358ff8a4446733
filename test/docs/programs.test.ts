import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { ROOT } from './document.js';

const DOCUMENTS = [
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
  ...['README.md', 'graphs/imported/README.md'],
].filter((name) => name.endsWith('.md'));

/** Its programs go on with the ones before. */
const ONE_PROGRAM = 'docs/graphs.md';

/** What readers have. */
const GIVEN = ['batches', 'bytes', 'weights', 'file', 'scan', 'features', 'ours', 'baseline', 'genesis'];

const COMPILER_OPTIONS = {
  ...{ strict: true, noEmit: true, skipLibCheck: true, types: ['node'] },
  ...{ target: 'ES2023', lib: ['ES2023', 'DOM'], module: 'NodeNext' },
};

/** Blocks that begin with what they import. */
function programsOf(document: string): string[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  const blocks = [...text.matchAll(/```ts[^\n]*\n(import [\s\S]*?)```/g)].map(([, code]) => code!);
  return document === ONE_PROGRAM ? [blocks.join('')] : blocks;
}

test('the programs that documents show compile', () => {
  const folder = temporaryFolder();
  const packages = join(folder, 'node_modules');
  mkdirSync(packages);
  symlinkSync(ROOT, join(packages, 'parts2whole'));
  for (const name of ['@types', 'onnxruntime-web'])
    symlinkSync(join(ROOT, 'node_modules', name), join(packages, name));
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  writeFileSync(join(folder, 'given.d.ts'), GIVEN.map((name) => `declare const ${name}: any;\n`).join(''));
  const programs = DOCUMENTS.flatMap((document) =>
    programsOf(document).map((code, i) => ({ name: `${document.replaceAll('/', '-')}-${i + 1}.mts`, code })),
  );
  expect(programs.length).toBeGreaterThan(12);
  for (const { name, code } of programs) writeFileSync(join(folder, name), code);
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
});
