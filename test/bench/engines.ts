import { expect } from 'vitest';
import { findBrowser } from '../../src/bench/engines/browser.js';
import { benchEngines } from '../../src/bench/engines.js';

/** Trains on every engine, and expects the same losses of all; only a browser may be missing. */
export async function expectAgreement(steps: number, settings: readonly string[] = []): Promise<void> {
  const { rows, unavailable } = await benchEngines({ settings, batch: 4, steps, threads: 1 }, () => {});
  const places = rows.map(({ name, place }) => `${name}, ${place}`);
  expect(places).toEqual([
    'onnxruntime-node, CPU, Node.js',
    'onnxruntime-web, WebAssembly, Node.js',
    'onnxruntime-training-web, WebAssembly, Node.js',
    'onnxruntime-training-web, training interface, Node.js',
    ...(findBrowser()
      ? [
          'onnxruntime-training-web, training interface, Chromium',
          'onnxruntime-web, WebAssembly, Chromium',
          'onnxruntime-web, WebGPU, Chromium',
        ]
      : []),
  ]);
  expect(unavailable).toHaveLength(findBrowser() ? 0 : 3);
  for (const { losses, difference } of rows) {
    expect(losses).toHaveLength(steps);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(difference).toBeLessThan(1e-4);
  }
}
