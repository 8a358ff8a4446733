/** What `p2w` does when stdout or stderr takes no more. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { mountDisk } from '../small-disk.js';
import { P2W } from './cli.js';

const folder = temporaryFolder();
const MODEL = join(import.meta.dirname, '../../models/chest/encoder.onnx');

/** Runs a shell's command line, in which `p2w` is the built one. */
const shell = (line: string) =>
  spawnSync('sh', ['-c', line.replace('p2w', `"${process.execPath}" "${P2W}"`)], {
    cwd: folder,
    encoding: 'utf8',
  });

const FULL = '/dev/full';
const NO_FULL = !existsSync(FULL);

test.skipIf(NO_FULL).each(['--version', '--help', `inspect ${MODEL}`, `inspect ${MODEL} --json`])(
  'p2w %s on a full stdout says so',
  (line) => {
    const { status, stderr } = shell(`p2w ${line} > ${FULL}`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^p2w: stdout: the disk is full\n {2}fix: .*\n$/);
  },
);

test('a result that does not fit onto the disk is no success', (context) => {
  const disk = join(folder, 'disk');
  mountDisk(context, disk, 'size=8k');
  const { status, stderr } = shell(`p2w inspect ${MODEL} --json > disk/model.json`);
  expect(statSync(join(disk, 'model.json')).size).toBe(8192);
  expect(status).toBe(1);
  expect(stderr).toContain('stdout: the disk is full');
});

test('in a file, stdout is what it is in a pipe', () => {
  const { stdout } = shell(`p2w inspect ${MODEL} --json`);
  expect(JSON.parse(stdout)).toBeDefined();
  expect(shell(`p2w inspect ${MODEL} --json > model.json`)).toMatchObject({ status: 0, stderr: '' });
  expect(readFileSync(join(folder, 'model.json'), 'utf8')).toBe(stdout);
});

test('a reader that has seen enough is no error', () => {
  expect(shell(`p2w inspect ${MODEL} --json | head -c 9`)).toMatchObject({ stdout: '{"kind":"', stderr: '' });
});

test.skipIf(NO_FULL)('progress that cannot be shown ends nothing', () => {
  expect(shell(`p2w phantom --out ct --scans 2 --size 16x16x16 2> ${FULL}`).status).toBe(0);
  const { status, stdout } = shell(`p2w prepare --input ct/scans --out tiles --size 16x16x8 2> ${FULL}`);
  expect(status).toBe(0);
  expect(stdout).toContain('0 failed');
});
