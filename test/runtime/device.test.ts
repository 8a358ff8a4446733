import { expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { resolveDevice } from '../../src/runtime/device.js';

test.each([
  ['auto', 'cpu'],
  ['cpu', 'cpu'],
  ['cuda', 'cuda:0'],
  ['cuda:3', 'cuda:3'],
])('the device %s is %s', (text, device) => {
  expect(resolveDevice(text)).toBe(device);
});

test.each(['', 'gpu', 'cuda:', 'cuda:-1', 'cuda:x', 'CUDA', 'cuda:0,1'])('"%s" is no device', (text) => {
  expect(() => resolveDevice(text)).toThrow(/this device does not exist[\s\S]*auto, cpu, cuda or cuda:N/);
  expect(() => resolveConfig({ preset: 'tiny', config: { device: text } })).toThrow(
    /device: a device must be auto/,
  );
});

test('a run remembers which GPU it began on, so that --device cuda and cuda:0 go on with it alike', () => {
  const saved = (device: string) => resolveConfig({ preset: 'tiny', config: { device } }).device;
  expect(saved('cuda')).toBe(saved('cuda:0'));
  expect(saved('cuda:1')).not.toBe(saved('cuda'));
});
