import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/runtime/node.js';
import { expectAll } from '../graphs/models/expect-all.js';
import { checkGradients } from './checks.js';

test('the gradients that a GPU will be asked for agree with PyTorch’s when a CPU computes them', async () => {
  // Named as a GPU, the CPU gets the graphs of one.
  const comparisons = await checkGradients({ ...nodeEngine, provider: 'cuda:0' }, 1);
  expect(comparisons).toHaveLength(8);
  expectAll(comparisons);
});

test('gpu:check says what is missing where there is no GPU, and fails', async (context) => {
  if (existsSync('/proc/driver/nvidia')) return context.skip('there is an NVIDIA driver here');
  const script = join(import.meta.dirname, 'check.ts');
  const { code, stdout, stderr } = await new Promise<{ code: unknown; stdout: string; stderr: string }>(
    (resolve) =>
      execFile(process.execPath, ['--import', 'tsx', script], (error, out, err) =>
        resolve({ code: error?.code ?? 0, stdout: out, stderr: err }),
      ),
  );
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toMatch(
    /^gpu:check: --device cuda:0: CUDA cannot be used[\s\S]*no NVIDIA driver[\s\S]*fix: /m,
  );
});
