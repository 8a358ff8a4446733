import { expect, test } from 'vitest';
import { p2w } from '../commands/cli.js';
import { expectAgreement } from './engines.js';

test('every engine trains the same network to the same losses', { timeout: 300_000 }, () =>
  expectAgreement(3, ['network.width=2']),
);

test('a browser that is none is said in the table, and the others are compared', async () => {
  const bench = ['bench', 'engines', '--steps', '2', '--set', 'network.width=2'];
  const { code, stdout } = await p2w([...bench, '--browser', process.execPath]);
  expect(code).toBe(0);
  expect(stdout).toContain('onnxruntime-node, CPU');
  expect(stdout).toMatch(/onnxruntime-web, WebGPU in Chromium is unavailable: .*browser has ended/s);
});
