import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  type Config,
  type DeepPartial,
  makePhantom,
  openPretraining,
  type Pretraining,
} from '../../src/browser/index.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const folder = temporaryFolder();
const { volume: scan } = makePhantom({ seed: 1, index: 0, size: [64, 64, 48], spacing: [5, 5, 5] });
const config: DeepPartial<Config> = {
  network: { width: 2, levels: 2 },
  whole: [16, 16, 8],
  batch: 4,
  learningRate: 0.01,
};

async function opened<T>(
  options: Partial<Parameters<typeof openPretraining>[0]>,
  use: (training: Pretraining) => Promise<T>,
): Promise<T> {
  const training = await openPretraining({ engine: nodeEngine, scan, config, ...options });
  try {
    return await use(training);
  } finally {
    await training.release();
  }
}

describe('pre-training on a scan in memory', () => {
  test('learns, and goes on from its weights where it was', async () => {
    const first = await opened({}, async (training) => {
      const before = await training.validate();
      for (let step = 0; step < 40; step++) await training.step();
      const after = await training.validate();
      expect(after.mse).toBeLessThan(0.7 * before.mse);
      expect(after.whole).toEqual(before.whole);
      expect(after.whole).toHaveLength(16 * 16 * 8);
      expect(after.reconstruction).not.toEqual(before.reconstruction);
      return { weights: await training.weights(), mse: after.mse };
    });
    // No network: the file says which network it is.
    const again = await opened({ weights: first.weights, config: { batch: 4 } }, async (training) => {
      expect(training.config).toMatchObject({ whole: [16, 16, 8], network: { width: 2, levels: 2 } });
      return (await training.validate()).mse;
    });
    expect(again).toBe(first.mse);
  });

  test('calls that do not wait for each other are made one after the other', async () => {
    const waiting = await opened({}, async (training) => [
      await training.step(),
      await training.step(),
      await training.weights(),
    ]);
    const hasty = await opened({}, (training) =>
      Promise.all([training.step(), training.step(), training.weights(), training.step()]),
    );
    expect(hasty.slice(0, -1)).toEqual(waiting);
  });

  test('gives no weights after its loss was no number', async () => {
    const optimizer = { name: 'sgd', momentum: 0, weightDecay: 0 } as const;
    await opened({ config: { ...config, optimizer, learningRate: 1e38 } }, async (training) => {
      const run = async () => {
        for (let i = 0; i < 50; i++) await training.step();
      };
      await expect(run()).rejects.toThrow('no longer a finite number');
      for (const call of [training.step, training.validate, training.weights, training.encoder])
        await expect(call()).rejects.toThrow('this training is lost');
    });
  });

  test('is no more after its release', async () => {
    const training = await opened({}, async (released) => released);
    await training.release();
    for (const call of [training.step, training.validate, training.weights, training.encoder])
      await expect(call()).rejects.toThrow('this training is released');
  });

  test('trains on one tile of two, and validates on the other', async () => {
    const half = { ...scan, size: [32, 16, 8] as const, voxels: scan.voxels.slice(-32 * 16 * 8) };
    await opened({ scan: half, config: { ...config, normalise: 'minmax' } }, async (training) => {
      expect(training.tiles).toEqual({ training: 1, validation: 1 });
      expect((await training.step()).loss).toBeGreaterThan(0);
      expect((await training.validate()).mse).toBeGreaterThan(0);
    });
  });

  test('a scan of no HU is refused, unless it is normalised', async () => {
    const mr = { ...scan, voxels: scan.voxels.map((hu) => Math.max(0, hu + 1000)) };
    const open = (more: DeepPartial<Config>) =>
      opened({ scan: mr, config: { ...config, ...more } }, async (training) => training.config.window);
    await expect(open({})).rejects.toThrow(/do not look like HU[\s\S]*normalise=minmax/);
    expect(await open({ normalise: 'minmax' })).toEqual({ low: 0, high: 1000 });
  });

  test('its encoder is one that Node.js runs', async () => {
    const path = join(folder, 'encoder.onnx');
    await opened({}, async (training) => {
      await training.step();
      writeFileSync(path, await training.encoder());
    });
    const encoder = await openEncoder(path, nodeEngine, 1);
    try {
      const { dimensions, features } = await encoder.encode(
        new Float32Array(2 * 8 * 16 * 16),
        [2, 8, 16, 16],
      );
      expect(dimensions).toBe(features.length / 2);
      expect(features.every(Number.isFinite)).toBe(true);
      expect(encoder.metadata).toMatchObject({ training_steps: '1', whole_size: '16x16x8' });
    } finally {
      await encoder.release();
    }
  });

  test('refuses a scan of air, and weights of another network', async () => {
    const air = { ...scan, voxels: new Int16Array(scan.voxels.length).fill(-1000) };
    await expect(openPretraining({ engine: nodeEngine, scan: air, config })).rejects.toThrow(
      'too little of this scan can be used for training',
    );
    const weights = await opened({}, async (training) => training.weights());
    await expect(
      openPretraining({ engine: nodeEngine, scan, weights, config: { network: { width: 4 } } }),
    ).rejects.toThrow('only some of these weights fit the network');
    await expect(
      openPretraining({ engine: nodeEngine, scan, weights: weights.slice(0, 500), config }),
    ).rejects.toThrow('this is not a complete safetensors file');
  });
});

test('the browser’s entry is one file that imports nothing', () => {
  const text = readFileSync(join(root, 'dist', 'browser.js'), 'utf8');
  expect(text).toContain('export{');
  expect([...text.matchAll(/\b(?:from|import)\s*\(?["'][^"']+["']/g)].map(([found]) => found)).toEqual([]);
  expect(text).not.toMatch(/\brequire\(["']/);
});
