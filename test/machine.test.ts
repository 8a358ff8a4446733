import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  checkThreads,
  cpuFeatures,
  freeDiskBytes,
  freeMemoryBytes,
  machineFacts,
  memoryLimitBytes,
  mostThreads,
  peakMemoryBytes,
} from '../src/machine.js';
import { errorOf, temporaryFolder } from './data/store/tiles-sample.js';

const folder = temporaryFolder();

test('a machine says what a time depends on', () => {
  const facts = machineFacts();
  const installed = JSON.parse(readFileSync('node_modules/onnxruntime-node/package.json', 'utf8'));
  expect(facts).toMatchObject({ node: process.version, onnxruntime: installed.version });
  expect(facts.platform).toBe(`${process.platform} ${process.arch}`);
  expect(facts.cpu.length).toBeGreaterThan(0);
  expect(facts.cores).toBeGreaterThanOrEqual(1);
  expect(facts.memory).toMatch(/^\d+\.\d GiB$/);
});

test('threads are bounded by four a core', () => {
  for (const threads of [1, mostThreads()]) checkThreads('threads', threads, 1);
  checkThreads('threads', 0, 0);
  for (const threads of [0, -1, 1.5, mostThreads() + 1, Number.NaN]) {
    const error = errorOf(() => checkThreads('threads', threads, 1));
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where: 'threads' } });
    expect(error.message).toContain(`1 to ${mostThreads()}`);
  }
});

test('vector instructions are those that the kernel lists', (context) => {
  if (!existsSync('/proc/cpuinfo')) return context.skip('there is no /proc/cpuinfo here');
  const words = new Set(readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/));
  expect(words.has('avx2')).toBe(cpuFeatures().includes('avx2'));
  for (const feature of cpuFeatures()) expect(words).toContain(feature);
});

test('free memory is less than the limit, and the limit no more than the machine has', () => {
  expect(freeMemoryBytes()).toBeGreaterThan(0);
  expect(freeMemoryBytes()).toBeLessThan(memoryLimitBytes());
  expect(memoryLimitBytes()).toBeLessThanOrEqual(totalmem());
});

test('peak memory is in bytes, and remembers what has been freed', () => {
  new Float32Array(2 ** 26).fill(1);
  // Not how much it grew: the process may have held more before than it does now.
  expect(peakMemoryBytes()).toBeGreaterThan(2 ** 28);
  expect(peakMemoryBytes()).toBeLessThan(totalmem());
});

test('free disk is that of the folder’s file system; a folder that is not there is an error', () => {
  expect(freeDiskBytes(folder)).toBeGreaterThan(0);
  const missing = join(folder, 'missing');
  expect(errorOf(() => freeDiskBytes(missing))).toMatchObject({ kind: 'disk', facts: { where: missing } });
});
