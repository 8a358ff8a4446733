import { describe, expect, test } from 'vitest';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { fitMemory, predictMemory } from '../../src/execution/memory.js';
import { silent } from '../../src/progress.js';
import type { Engine } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { proxyWorkload } from '../../src/train/proxy.js';

const GB = 1e9;
const configOf = (preset: Config['preset'], ...settings: string[]) =>
  resolveConfig({ preset, config: fromSettings(settings) });
const fitted = (config: Config, machine: number, engine: Engine = nodeEngine) =>
  fitMemory(proxyWorkload(config, config.whole), config, engine, silent, machine);
const refusal = async (config: Config, machine: number) => {
  const error = await fitted(config, machine).catch((thrown: Error) => thrown);
  return error instanceof Error ? error.message : 'not refused';
};
const predicted = async (config: Config) =>
  (await predictMemory(proxyWorkload(config, config.whole), config, nodeEngine)).total;

describe('the memory that a training will need', () => {
  // Peaks of resident memory that were measured on a processor with AVX-512.
  test.runIf(process.arch === 'x64')('is predicted within 15 %', async () => {
    expect(Math.abs((await predicted(configOf('small', 'batch=4'))) / (1.413 * GB) - 1)).toBeLessThan(0.15);
  });

  test('is refused with the batch that fits, which is not refused', async () => {
    const config = configOf('tiny', 'batch=1000000');
    const message = await refusal(config, 24 * GB);
    expect(message).toMatch(/1000000 samples at once: about \d\d,\d\d\d GB[\s\S]*at most 24 GB/);
    const batch = Number(/--set batch=(\d+) fits/.exec(message)?.[1]);
    expect(batch).toBeGreaterThan(500);
    await fitted({ ...config, batch }, 24 * GB);
  });

  test('is less in micro-batches, which are proposed', async () => {
    const config = configOf('tiny', 'batch=60');
    const message = await refusal(config, 0.7 * GB);
    const microBatch = Number(/microBatch=(\d+) computes the same batch/.exec(message)?.[1]);
    expect(60 % microBatch).toBe(0);
    await fitted({ ...config, microBatch }, 0.7 * GB);
  });

  test('counts the data of all micro-batches', async () => {
    const config = configOf('tiny', 'batch=1000000', 'microBatch=4');
    const batch = Number(/--set batch=(\d+) fits/.exec(await refusal(config, 24 * GB))?.[1]);
    expect(batch % 4).toBe(0);
    await fitted({ ...config, batch }, 24 * GB);
  });

  test.runIf(process.arch === 'x64')(
    'is several times as much where ranks normalise together, and refused for what each of them takes',
    async () => {
      const config = configOf('tiny', 'batch=16', 'microBatch=8');
      const workload = proxyWorkload(config, config.whole);
      const { total } = await predictMemory(workload, config, nodeEngine, 2);
      // Measured as above.
      expect(Math.abs(total / (1.41 * GB) - 1)).toBeLessThan(0.15);
      const fitOn = (changed: Config, ranks: number) =>
        fitMemory(workload, changed, nodeEngine, silent, GB, ranks);
      await fitOn(config, 1);
      const refused = await fitOn(config, 2).catch((error: Error) => error.message);
      expect(refused).toMatch(/8 samples at once on each rank: about 1\.\d GB/);
      const batch = Number(/--set batch=(\d+) --set microBatch=null fits/.exec(String(refused))?.[1]);
      await fitOn({ ...config, batch, microBatch: batch / 2 }, 2);
    },
  );

  test('of a GPU is only known where the user says it', async () => {
    const config = configOf('paper', 'batch=16', 'microBatch=null');
    expect(await fitted(config, GB, { ...nodeEngine, provider: 'cuda:0' })).toBe(config);
  });

  test('of a network that no batch makes fit is refused so', async () => {
    expect(await refusal(configOf('tiny', 'network.width=100000'), 24 * GB)).toContain('a smaller network');
  });
});

describe('--memory', () => {
  test('recomputes as little as makes the training fit', async () => {
    const config = configOf('tiny', 'batch=64');
    const whole = await predicted(config);
    const some = await fitted({ ...config, memory: 0.97 * whole }, 24 * GB);
    const more = await fitted({ ...config, memory: 0.9 * whole }, 24 * GB);
    expect(await predicted(some)).toBeLessThan(0.97 * whole);
    expect(await predicted(more)).toBeLessThan(0.9 * whole);
    expect(Object.values(some.recompute)).not.toContain('layer');
    expect(Object.keys(more.recompute).length).toBeGreaterThan(Object.keys(some.recompute).length);
    expect(await fitted({ ...config, memory: 1.05 * whole }, 24 * GB)).toEqual({
      ...config,
      memory: 1.05 * whole,
    });
  });

  test.each([
    [4, 24],
    [16, 80],
  ])('makes the paper’s network with a batch of %i fit %i GB of a GPU', async (batch, memory) => {
    const config = { ...configOf('paper', `batch=${batch}`, 'microBatch=null'), memory: memory * GB };
    const gpu = { ...nodeEngine, provider: 'cuda:0' };
    const { recompute } = await fitted(config, GB, gpu);
    const workload = proxyWorkload(config, config.whole);
    expect((await predictMemory(workload, { ...config, recompute }, gpu)).total).toBeLessThan(memory * GB);
  });

  test('too small for anything is refused with the batch that fits', async () => {
    const config = { ...configOf('tiny', 'batch=32'), memory: 0.5 * GB };
    const message = await refusal(config, 24 * GB);
    expect(message).toMatch(/with everything recomputed that helps[\s\S]*at most 0\.5 GB/);
    const batch = Number(/--set batch=(\d+) fits/.exec(message)?.[1]);
    expect(batch).toBeGreaterThan(3);
    await fitted({ ...config, batch }, 24 * GB);
  });
});
