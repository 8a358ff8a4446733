import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

test('the package has the encoder chest in it, and is small', () => {
  const line = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const root = resolve(import.meta.dirname, '..');
  const [pack] = JSON.parse(execFileSync('npm', line, { cwd: root, encoding: 'utf8', maxBuffer: 1e8 }));
  const paths: string[] = pack.files.map(({ path }: { path: string }) => path);
  expect(paths.filter((path) => path.startsWith('models/')).toSorted()).toEqual(
    ['SHA256SUMS', 'encoder.onnx', 'model-card.md', 'weights.safetensors'].map(
      (name) => `models/chest/${name}`,
    ),
  );
  expect(pack.size).toBeLessThan(6e6);
});
