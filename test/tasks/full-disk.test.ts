import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportModel } from '../../src/tasks/export.js';
import { pretrain } from '../../src/tasks/pretrain.js';
import { checkpointPath, loadCheckpoint } from '../../src/train/checkpoint.js';
import { sampleStore, temporaryFolder } from '../data/tiles-sample.js';

const folder = temporaryFolder();
const [data, disk, reference] = ['tiles', 'disk', 'reference'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const SETTINGS = [
  ...['whole=16x8x8', 'network.levels=2', 'network.width=2', 'batch=4', 'threads=1', 'validation.every=10'],
  ...['checkpoints.every=5', 'checkpoints.keepLogSpaced=5'],
];
const options = { data, settings: SETTINGS, flags: { steps: 20 } };
let mounted = false;

beforeAll(async () => {
  for (const path of [data, disk]) mkdirSync(path);
  await sampleStore(data);
  await pretrain({ ...options, out: reference });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk], { stdio: 'pipe' });
    mounted = true;
  } catch {} // said by the tests
});
afterAll(() => {
  if (mounted) execFileSync('umount', [disk]);
});
const resize = (size: string) => execFileSync('mount', ['-o', `remount,size=${size}`, disk]);

/** Room for a run up to some step, and not for the rest of it. */
const checkpointKiB = () => Math.ceil(readFileSync(checkpointPath(reference, 'last')).length / 1024 / 4) * 4;

test('a disk that fills up while a checkpoint is saved leaves the last one whole; the run goes on to the same bytes', async (context) => {
  if (!mounted) return context.skip('no small disk to fill can be mounted here');
  const out = join(disk, 'run');
  resize(`${Math.round(4.5 * checkpointKiB()) + 16}k`);
  const error = await pretrain({ ...options, out }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'UserError', kind: 'disk' });
  expect((error as Error).message).toMatch(/the disk is full[\s\S]*run the same command again/);
  expect(loadCheckpoint(checkpointPath(out, 'last')).state.step).toBeLessThan(20);
  expect(readdirSync(join(out, 'checkpoints')).filter((name) => name.endsWith('.tmp'))).toEqual([]);

  resize('8m');
  await pretrain({ ...options, out, resume: true });
  for (const name of ['last', 'best', 20] as const)
    expect(
      readFileSync(checkpointPath(out, name)).equals(readFileSync(checkpointPath(reference, name))),
    ).toBe(true);
  expect(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).toBe(
    readFileSync(join(reference, 'metrics.jsonl'), 'utf8'),
  );
});

test('a disk that is full while exporting leaves no model under its name', async (context) => {
  if (!mounted) return context.skip('no small disk to fill can be mounted here');
  execFileSync('rm', ['-rf', join(disk, 'run')]);
  resize('16k');
  const out = join(disk, 'encoder');
  await expect(exportModel({ run: reference, out })).rejects.toThrow(/the disk is full/);
  expect(existsSync(join(out, 'encoder.onnx'))).toBe(false);
  expect(readdirSync(out).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
