import { existsSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { probeModel } from '../../graphs/programs/probe.js';
import { doctor, formatDoctor } from '../../src/commands/doctor.js';
import { listedProviders, probeProvider } from '../../src/runtime/providers.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.doUnmock('onnxruntime-node');
  vi.resetModules();
});

test('this machine is ready: the CPU has run a model', async () => {
  const report = await doctor();
  expect(report.ok).toBe(true);
  expect(report.providers.map(({ name }) => name)).toEqual(await listedProviders());
  expect(report.providers).toContainEqual({ name: 'cpu', usable: true, problem: null, missing: [] });
  expect(report.engines).toEqual([
    { name: 'web', usable: true, problem: null },
    { name: 'training-web', usable: true, problem: null },
  ]);
  const text = formatDoctor(report);
  expect(text).toContain(`Node.js           ${process.version}`);
  expect(text).toMatch(/cpu +works: it ran a model[\s\S]*ready: training runs on the CPU$/);
});

test('an MPI library that cannot be loaded is told, and training on one machine does not need it', async () => {
  vi.stubEnv('P2W_MPI_LIBRARY', '/nowhere/libmpi.so');
  const report = await doctor();
  expect(report).toMatchObject({ ok: true, mpi: { library: null, problem: 'no MPI library can be loaded' } });
  expect(formatDoctor(report)).toMatch(/^MPI +none: no MPI library can be loaded$/m);
});

test('a provider that cannot be had is not taken for the CPU in its place', async (context) => {
  if (existsSync('/proc/driver/nvidia')) return context.skip('there is an NVIDIA driver here');
  if (!(await listedProviders()).includes('cuda')) return context.skip('ONNX Runtime was built without CUDA');
  expect(await probeProvider('cuda', probeModel())).toContain('Failed to load');
  const report = await doctor();
  expect(report.providers.find(({ name }) => name === 'cuda')).toMatchObject({ usable: false });
  // Without a driver that is the first thing to get; below it stands what to do.
  expect(formatDoctor(report)).toMatch(
    /cuda +does not work: .*\n {4}- no NVIDIA driver: libcuda\.so\.1.*\n {6}install the driver/,
  );
});

test('a provider that does not exist, and a model that does not load, are problems in words', async () => {
  expect(await probeProvider('abacus', probeModel())).toContain('abacus');
  const report = await doctor(new Uint8Array([1, 2, 3]));
  expect(report.ok).toBe(false);
  expect(report.providers.some(({ usable }) => usable)).toBe(false);
  expect(formatDoctor(report)).toMatch(/not ready$/);
});

test('where ONNX Runtime cannot be loaded, the doctor says so and what to do', async () => {
  vi.resetModules();
  vi.doMock('onnxruntime-node', () => {
    throw new Error('cannot open shared object file');
  });
  const { doctor: examine } = await import('../../src/commands/doctor.js');
  const report = await examine();
  expect(report).toMatchObject({ ok: false, providers: [{ name: 'cpu', usable: false }] });
  expect(formatDoctor(report)).toMatch(/^! .*onnxruntime-node-install=skip >> \.npmrc && npm install/m);
});
