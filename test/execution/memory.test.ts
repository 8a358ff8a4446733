import { describe, expect, test } from 'vitest';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { checkMemory } from '../../src/execution/memory.js';
import { proxyWorkload } from '../../src/train/proxy.js';
import { errorOf } from '../data/store/tiles-sample.js';

const GB = 1e9;
const configOf = (preset: Config['preset'], ...settings: string[]) =>
  resolveConfig({ preset, config: fromSettings(settings) });
const check = (config: Config, limit: number) =>
  checkMemory(proxyWorkload(config, config.whole), config, { provider: 'cpu' }, limit);
const refusal = (config: Config, limit: number) => errorOf(() => check(config, limit)).message;

describe('the memory that a step will need', () => {
  // Peaks of resident memory that were measured: the presets of README's table.
  test.each([
    ['small', 4, 1.28],
    ['genesis', 2, 1.77],
    ['paper', 1, 4.26],
  ] as const)('of preset %s with batch %i is foretold below what it takes, %d GB', (preset, batch, taken) => {
    const config = configOf(preset, `batch=${batch}`);
    expect(() => check(config, taken * GB)).not.toThrow();
    expect(refusal(config, (taken / 1.7) * GB)).toContain('does not fit in memory');
  });

  test('is refused with the batch that fits, which is not refused', () => {
    const config = configOf('tiny', 'batch=1000000');
    const message = refusal(config, 24 * GB);
    expect(message).toMatch(/1000000 samples at once: at least 12,\d\d\d GB[\s\S]*at most 24 GB/);
    const batch = Number(/--set batch=(\d+) fits/.exec(message)?.[1]);
    expect(batch).toBeGreaterThan(500);
    check({ ...config, batch }, 24 * GB);
  });

  test('is less in micro-batches, which are proposed', () => {
    const config = configOf('paper', 'batch=30', 'microBatch=null');
    const message = refusal(config, 24 * GB);
    const microBatch = Number(/microBatch=(\d+) computes the same batch/.exec(message)?.[1]);
    expect(30 % microBatch).toBe(0);
    check({ ...config, microBatch }, 24 * GB);
  });

  test('counts the data of all micro-batches', () => {
    const config = configOf('tiny', 'batch=1000000', 'microBatch=4');
    const batch = Number(/--set batch=(\d+) fits/.exec(refusal(config, 24 * GB))?.[1]);
    expect(batch % 4).toBe(0);
    check({ ...config, batch }, 24 * GB);
  });

  test('is not that of this machine on a GPU, which has memory of its own', () => {
    const config = configOf('paper', 'batch=16', 'microBatch=null');
    const workload = proxyWorkload(config, config.whole);
    expect(() => checkMemory(workload, config, { provider: 'cuda:0' }, GB)).not.toThrow();
  });

  test('of a network that no batch makes fit is refused so', () => {
    expect(refusal(configOf('tiny', 'network.width=100000'), 24 * GB)).toContain('a smaller network');
  });
});
