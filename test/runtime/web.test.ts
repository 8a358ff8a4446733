import { describe, expect, test, vi } from 'vitest';
import { probeModel } from '../../graphs/programs/probe.js';
import type { UserError } from '../../src/errors.js';
import type { Engine } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { type WebPackage, wasmEngine } from '../../src/runtime/web-node.js';

const ones = { type: 'float32', shape: [1, 1, 3, 3, 3], data: new Float32Array(27).fill(1) } as const;
const PACKAGES: readonly WebPackage[] = ['onnxruntime-web', 'onnxruntime-training-web'];

describe.each(PACKAGES)('%s in Node.js', (name) => {
  const engine: Engine = wasmEngine(name);

  test('says what it is', () => {
    expect(engine.name).toMatch(new RegExp(`^${name} 1\\.\\d+\\.\\d+$`));
    expect(engine.provider).toBe('wasm');
  });

  test('runs a model as onnxruntime-node does, also into memory that is there already', async () => {
    const native = await nodeEngine.load(probeModel(), { threads: 1 });
    const session = await engine.load(probeModel(), { threads: 2 });
    expect([session.inputs, session.outputs]).toEqual([native.inputs, native.outputs]);
    expect((await session.run({ x: ones })).y).toEqual((await native.run({ x: ones })).y);
    const y = { type: 'float32', shape: [], data: new Float32Array(1) } as const;
    expect((await session.run({ x: ones }, { y })).y).toBe(y);
    expect(y.data[0]).toBe(27);
    await Promise.all([session.release(), native.release()]);
  });

  test('says which runtime refused a model', async () => {
    const error = (await engine.load(Uint8Array.of(1, 2, 3), { threads: 1 }).catch((e) => e)) as UserError;
    expect(error.kind).toBe('runtime');
    expect(error.message).toContain(`${name} 1.`);
    expect(error.message).toContain('rejected the model');
  });
});

test('a package that is not installed is said to be optional', async () => {
  vi.resetModules();
  vi.doMock('node:module', () => ({
    createRequire: () => ({
      resolve: () => {
        throw new Error('Cannot find module');
      },
    }),
  }));
  const { wasmEngine: open } = await import('../../src/runtime/web-node.js');
  expect(() => open('onnxruntime-training-web')).toThrow(
    /onnxruntime-training-web is not installed; it is an optional dependency/,
  );
  vi.doUnmock('node:module');
});
