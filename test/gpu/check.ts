/**
 * `npm run gpu:check`: everything that only a GPU can show, in one go. Gradients against PyTorch's, 50 steps against the
 * CPU's, then a benchmark against PyTorch; arguments are for `p2w bench`. Ends with 1 where CUDA cannot be used or a check fails.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { openEngine } from '../../src/execution/open-engine.js';
import { checkCurve, checkGradients } from './checks.js';

const DEVICE = 'cuda:0';
const bench = process.argv.slice(2);

try {
  const engine = await openEngine(DEVICE);
  console.log(`${engine.name}, ${engine.provider}`);
  for (const check of [() => checkGradients(engine), () => checkCurve(DEVICE)])
    for (const { what, error, tolerance } of await check()) {
      const passed = error < tolerance;
      console.log(
        `${passed ? 'ok    ' : 'FAILED'}  ${what}: ${error.toExponential(1)}, at most ${tolerance.toExponential(1)}`,
      );
      if (!passed) process.exitCode = 1;
    }
  const p2w = join(import.meta.dirname, '../../dist/bin/p2w.js');
  const benchmark = [
    'bench',
    'step',
    '--device',
    DEVICE,
    '--baseline',
    'torch',
    '--preset',
    'small',
    ...bench,
  ];
  const { status } = spawnSync(process.execPath, [p2w, ...benchmark], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
} catch (error) {
  console.error(`gpu:check: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
