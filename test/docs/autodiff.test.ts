import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { importCase } from '../graphs/imported/golden.js';
import { ROOT, testDocument } from './document.js';

testDocument('docs/autodiff.md', 0);

/** What the programs of the document are given: a batch of a network with one output, taken for its only class. */
const BATCHES = `
const batches = Array.from({ length: 3 }, () => ({
  x: { type: 'float32', shape: [4, 3, 20, 20], data: new Float32Array(4800).fill(0.5) },
  label: { type: 'int32', shape: [4], data: new Int32Array(4) },
}));
`;

test('the programs that it shows run', async () => {
  const folder = temporaryFolder();
  const { bytes } = importCase('residual legacy training');
  writeFileSync(join(folder, 'classifier.onnx'), bytes);
  const text = readFileSync(join(ROOT, 'docs/autodiff.md'), 'utf8');
  const programs = [...text.matchAll(/```ts (\w+\.ts)\n([\s\S]*?)```/g)];
  expect(programs.map(([, name]) => name)).toEqual(['train.ts', 'gradient.ts']);
  const output = programs.map(([, name, code]) => {
    const own = (path: string) => `'${pathToFileURL(join(ROOT, path)).href}'`;
    const program = code!
      .replace("'parts2whole/autodiff'", own('dist/graphs/compiler.js'))
      .replace("'parts2whole'", own('dist/src/index.js'));
    const file = name!.replace('.ts', '.mjs');
    writeFileSync(join(folder, file), `${BATCHES}${program}`);
    return execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' });
  });
  expect(output[0]!.trim().split('\n')).toHaveLength(3);
  const trained = decodeModel(readFileSync(join(folder, 'trained.onnx')));
  expect(trained.graph.nodes.map(({ operator }) => operator)).toContain('BatchNormalization');
  const gradient = await nodeEngine.load(readFileSync(join(folder, 'gradient.onnx')), { threads: 1 });
  expect(gradient.outputs).toContain('gradient:stem.weight');
  await gradient.release();
});
