import { expect } from 'vitest';
import type { EnginesResult } from '../../src/bench/engines.js';
import { lastJson, p2w } from '../commands/cli.js';

/** The command of docs/runtimes.md. */
export const documented = 'bench engines --steps 3 --set network.width=2';

/**
 * Trains on every engine, and expects the same losses of all.
 * @param line of `p2w bench engines`
 * @param browser whether those of an installed Chromium are among them
 */
export async function expectAgreement(line: string, steps: number, browser: boolean): Promise<void> {
  const done = await p2w([
    ...[...line.split(' '), '--threads', '1', '--json'],
    ...(browser ? [] : ['--browser', process.execPath]), // none
  ]);
  expect(done.code, done.stderr).toBe(0);
  const { rows, unavailable } = lastJson(done) as EnginesResult;
  const places = rows.map(({ name, place }) => `${name}, ${place}`);
  expect(places).toEqual([
    'onnxruntime-node, CPU, Node.js',
    'onnxruntime-web, WebAssembly, Node.js',
    'onnxruntime-training-web, WebAssembly, Node.js',
    'onnxruntime-training-web, training interface, Node.js',
    ...(browser
      ? [
          'onnxruntime-training-web, training interface, Chromium',
          'onnxruntime-web, WebAssembly, Chromium',
          'onnxruntime-web, WebGPU, Chromium',
        ]
      : []),
  ]);
  expect(unavailable).toHaveLength(browser ? 0 : 3);
  for (const { unavailable: reason } of unavailable) expect(reason).toContain('the browser has ended');
  for (const { losses, difference } of rows) {
    expect(losses).toHaveLength(steps);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(difference).toBeLessThan(1e-4);
  }
}
