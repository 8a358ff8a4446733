import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { acquireLock } from '../src/lock.js';
import { errorOf, temporaryFolder } from './data/store/tiles-sample.js';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, linkSync: vi.fn(fs.linkSync) };
});
const { linkSync: reallyLink } = await vi.importActual<typeof import('node:fs')>('node:fs');

const failure = (code: string) => Object.assign(new Error(`${code}: link`), { code, syscall: 'link' });
const root = temporaryFolder();
let folder: string;
beforeEach((context) => {
  folder = join(root, context.task.id);
  mkdirSync(folder);
});

/** Takes a folder, finds it held, and releases it. */
function expectHeld(): void {
  const lock = acquireLock(folder, 'pretrain');
  expect(readdirSync(folder)).toEqual(['.lock']);
  expect(JSON.parse(readFileSync(join(folder, '.lock'), 'utf8'))).toMatchObject({ pid: process.pid });
  expect(errorOf(() => acquireLock(folder, 'report')).message).toContain(`pretrain, process ${process.pid}`);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
}

test('on a file system without hard links, as FAT, a lock keeps others out until it is released', () => {
  vi.mocked(linkSync).mockImplementation(() => {
    throw failure('EPERM');
  });
  expectHeld();
  writeFileSync(join(folder, '.lock'), '');
  expect(errorOf(() => acquireLock(folder, 'report')).message).toContain('just starting');
});

test('a link that a network drive has made, but reports as being there already, is the own one', () => {
  vi.mocked(linkSync).mockImplementation((path, name) => {
    reallyLink(path, name);
    throw failure('EEXIST');
  });
  expectHeld();
});
