import { describe, expect, test } from 'vitest';
import { findBrowser } from '../../src/bench/engines/browser.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { wasmEngine } from '../../src/runtime/web-node.js';
import { importCase } from '../graphs/imported/golden.js';
import { lossesInChromium } from './losses-in-chromium.js';
import { modelLosses, type Steps } from './model-losses.js';

const NAMES = ['residual legacy training', 'decoder dynamo', 'transformer dynamo dynamic'];
const tolerance = 1e-4;

const networks = NAMES.map((name): Steps => {
  const { bytes, results } = importCase(name);
  const tensor = (result: string) => {
    const { shape, data } = results.get(result)!;
    return { type: 'float32', shape, data: Float32Array.from(data as Float32Array) } as const;
  };
  return { model: bytes, rate: 1e-2, batch: { x: tensor('x'), target: tensor('target') } };
});

function expectAlike(found: readonly number[], native: readonly number[]): void {
  expect(found).toHaveLength(native.length);
  for (const [i, loss] of found.entries())
    expect(Math.abs(loss - native[i]!), `step ${i + 1}`).toBeLessThan(tolerance * native[i]!);
}

describe('imported networks make the same steps as on onnxruntime-node', () => {
  test.each(networks.map((steps, i) => [NAMES[i]!, steps] as const))(
    '%s, on WebAssembly',
    async (_, steps) => {
      const native = await modelLosses(nodeEngine, steps);
      expect(native.at(-1)).toBeLessThan(native[0]!);
      expectAlike(await modelLosses(wasmEngine('onnxruntime-web'), steps), native);
    },
  );

  // Needs an installed Chromium; there is none on some machines.
  test.skipIf(!findBrowser())('on WebGPU, in Chromium', async () => {
    const found = await lossesInChromium(findBrowser()!, networks, 900);
    for (const [i, steps] of networks.entries()) expectAlike(found[i]!, await modelLosses(nodeEngine, steps));
  });
});
