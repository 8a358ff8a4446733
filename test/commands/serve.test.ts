/** The service as a command: how it begins and ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeThresholds } from '../inference/models.js';
import { fileBytes, soon } from '../serve/service.js';
import { P2W, p2w } from './cli.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Starts the built command in a process group of its own, and waits until it listens. */
async function start(...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [P2W, 'serve', ...args], { detached: true });
  const logs: { event: string; url?: string; pid?: number }[] = [];
  const lines: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lines.push(line);
    logs.push(JSON.parse(line));
  });
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const { url } = await soon(() => logs.find(({ event }) => event === 'listening'));
  return { child, logs, url: url!, exit };
}

test('told to end with all its processes, it answers what it has, removes everything and exits with 0', async () => {
  writeThresholds(at('masks.onnx'));
  // Large enough that its job is seen running.
  await writeNifti(at('scan.nii'), noiseVolume([96, 96, 64], 1));
  mkdirSync(at('scratch'));
  const { child, logs, url, exit } = await start(
    ...['--model', at('masks.onnx'), '--port', '0', '--scratch', at('scratch'), '--max-body', '10M'],
  );
  const body = fileBytes(at('scan.nii'));
  const answer = fetch(`${url}/v1/segment?overlap=0.75`, { method: 'POST', body });
  await soon(async () => /^p2w_jobs_running 1$/m.test(await (await fetch(`${url}/metrics`)).text()));
  process.kill(-child.pid!, 'SIGTERM');
  expect((await answer).status).toBe(200);
  expect(await exit).toBe(0);
  expect(readdirSync(at('scratch'))).toEqual([]);
  expect(logs.map(({ event }) => event).slice(-3)).toEqual(['closing', 'request', 'closed']);
});

test('killed, it leaves no worker, and its uploads are removed by the next one', async () => {
  writeThresholds(at('masks.onnx'));
  mkdirSync(at('other'));
  const args = ['--model', at('masks.onnx'), '--port', '0', '--scratch', at('other')];
  const first = await start(...args);
  const { pid } = first.logs.find(({ event }) => event === 'worker-started')!;
  first.child.kill('SIGKILL');
  await soon(() => !isAlive(pid!));
  expect(readdirSync(at('other'))).toHaveLength(1);
  const second = await start(...args);
  expect(readdirSync(at('other'))).toHaveLength(1);
  second.child.kill('SIGINT');
  expect(await second.exit).toBe(0);
  expect(readdirSync(at('other'))).toEqual([]);
});

test.each([
  ['no size', ['--max-body', '2X'], /--max-body: this is not a number of bytes/],
  [
    'an address for others without a token',
    ['--host', '0.0.0.0'],
    /--host: a service that other machines can reach needs a token/,
  ],
  ['no worker', ['--workers', '0'], /--workers: this must be an integer of at least 1/],
])('%s is refused', async (_, args, message) => {
  writeThresholds(at('masks.onnx'));
  const { code, stderr } = await p2w(['serve', '--model', at('masks.onnx'), ...args]);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});
