import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { p2w } from '../commands/cli.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { ROOT } from './document.js';

test('the example runs', async () => {
  const folder = temporaryFolder();
  await p2w(['phantom', '--out', folder, '--scans', '4', '--size', '64x64x32']);
  const output = execFileSync(
    process.execPath,
    ['--import', 'tsx', join(ROOT, 'examples/pretrain.ts'), join(folder, 'scans'), join(folder, 'out'), '3'],
    { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  expect(output).toMatch(/step 3, best validation MSE 0\.\d+/);
  expect(existsSync(join(folder, 'out/encoder/encoder.onnx'))).toBe(true);
});
