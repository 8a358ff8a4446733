import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { UserError } from '../../src/errors.js';
import { blockedLayout } from '../../src/execution/blocked-layout.js';
import { buildGraph, loadGraph } from '../../src/execution/models.js';
import { openEngine } from '../../src/execution/open-engine.js';
import type { Engine, SessionOptions } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { proxyWorkload } from '../../src/train/proxy.js';
import { p2w } from '../commands/cli.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

afterEach(() => {
  vi.doUnmock('onnxruntime-node');
  vi.resetModules();
});

test('auto and cpu are the CPU', async () => {
  expect(await openEngine('auto')).toBe(nodeEngine);
  expect(await openEngine('cpu')).toBe(nodeEngine);
});

describe('cuda, where there is none,', () => {
  const gpu = existsSync('/proc/driver/nvidia');

  test.skipIf(gpu)('is an error that says what is missing, not the CPU in its place', async () => {
    const error = await openEngine('cuda:1').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).kind).toBe('runtime');
    expect((error as UserError).message).toMatch(/cuda:1: CUDA cannot be used[\s\S]*got: [\s\S]*fix: /);
  });

  test.skipIf(gpu)('stops a command before it has written anything', async () => {
    const folder = temporaryFolder();
    await sampleStore(folder);
    const out = join(folder, 'run');
    const settings = ['whole=16x8x8', 'network.levels=2'].flatMap((setting) => ['--set', setting]);
    const args = ['pretrain', '--data', folder, '--out', out, '--device', 'cuda', ...settings];
    const { code, stderr } = await p2w(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--device cuda:0: CUDA cannot be used/);
    expect(stderr).not.toMatch(/\n {4}at |internal error/);
    expect(existsSync(out)).toBe(false);
  });

  test.skipIf(gpu)('stops a benchmark too, and nothing else but steps is timed on it', async () => {
    const step = await p2w(['bench', 'step', '--device', 'cuda', '--baseline', 'onnxruntime-plain']);
    expect(step.code).toBe(1);
    expect(step.stderr).toContain('CUDA cannot be used');
    for (const workload of ['encoder', 'forms', 'engines']) {
      const other = await p2w(['bench', workload, '--device', 'cuda']);
      expect(other.code).toBe(2);
      expect(other.stderr).toContain('only steps are timed on a GPU');
    }
  });
});

test('a GPU is asked for by its number, must run the probe alone, and then gets the models', async () => {
  const created: Record<string, unknown>[] = [];
  vi.resetModules();
  vi.doMock('onnxruntime-node', () => ({
    env: {},
    Tensor: class {},
    InferenceSession: {
      create: async (_: Uint8Array, options: Record<string, unknown>) => {
        created.push(options);
        return { inputNames: [], outputNames: [], run: async () => ({ y: { data: [27] } }), release() {} };
      },
    },
  }));
  const { openEngine: open } = await import('../../src/execution/open-engine.js');
  const engine = await open('cuda:1');
  expect(engine.provider).toBe('cuda:1');
  await engine.load(new Uint8Array(), { threads: 1 });
  const executionProviders = [{ name: 'cuda', deviceId: 1 }];
  expect(created).toMatchObject([
    { executionProviders, extra: { session: { disable_cpu_ep_fallback: '1' } } },
    { executionProviders },
  ]);
  // A network has nodes that ONNX Runtime itself wants on the CPU.
  expect(JSON.stringify(created[1])).not.toContain('disable_cpu_ep_fallback');
  expect(process.env.NVIDIA_TF32_OVERRIDE).toBe('0');
});

test('a wrong result of the probe is no GPU either', async () => {
  vi.resetModules();
  vi.doMock('onnxruntime-node', () => ({
    env: {},
    Tensor: class {},
    InferenceSession: { create: async () => ({ run: async () => ({ y: { data: [26] } }), release() {} }) },
  }));
  const { openEngine: open } = await import('../../src/execution/open-engine.js');
  await expect(open('cuda')).rejects.toThrow('the sum of 27 ones was 26');
});

test('graphs for a GPU are made of standard operators, which the engine may rewrite', async () => {
  // A session on a GPU has the CPU's operators behind it: this engine would run blocked ones.
  const loaded: SessionOptions[] = [];
  const gpu: Engine = {
    ...nodeEngine,
    provider: 'cuda:0',
    load(model, options) {
      loaded.push(options);
      expect(Buffer.from(model).includes('com.microsoft')).toBe(false);
      return nodeEngine.load(model, options);
    },
  };
  expect(await blockedLayout(gpu)).toBeNull();
  expect(loaded).toEqual([]);
  const config = resolveConfig({ preset: 'tiny', config: { network: { width: 16 }, batch: 1 } });
  const session = await loadGraph(
    buildGraph('step', proxyWorkload(config, config.whole), config),
    config,
    gpu,
  );
  expect(loaded).toMatchObject([{ rewrite: 'all' }]);
  await session.release();
});
