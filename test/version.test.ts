import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PRODUCER } from '../graphs/onnx/model.js';
import { version } from '../src/version.js';

const root = join(import.meta.dirname, '..');

test('models, stores and p2w say the version of the package', () => {
  const stated = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect([version, PRODUCER.version]).toEqual([stated.version, stated.version]);
});

test('it is written in one place', () => {
  expect(readFileSync(join(root, 'graphs/onnx/model.ts'), 'utf8')).not.toContain(`'${version}'`);
});
