import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { withTemporaryFolder } from '../src/temporary-folder.js';

test('a temporary folder is there as long as it is used, also where that fails', async () => {
  const listeners = () => ['exit', 'SIGINT'].map((event) => process.listenerCount(event));
  const before = listeners();
  let used = '';
  const use = async (folder: string) => {
    used = folder;
    writeFileSync(join(folder, 'file'), 'x');
    return existsSync(folder);
  };
  expect(await withTemporaryFolder('p2w-test-', use)).toBe(true);
  expect(existsSync(used)).toBe(false);
  const failing = withTemporaryFolder('p2w-test-', async (folder) => {
    await use(folder);
    throw new Error('it failed');
  });
  await expect(failing).rejects.toThrow('it failed');
  expect(existsSync(used)).toBe(false);
  expect(listeners()).toEqual(before);
});

test('where there is no place for it, the error names the place', async () => {
  vi.stubEnv('TMPDIR', '/no/such/folder');
  await expect(withTemporaryFolder('p2w-test-', async () => {})).rejects.toThrow(/^\/no\/such\/folder/);
  vi.unstubAllEnvs();
});
