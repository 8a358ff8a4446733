import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.long.test.ts'));
/** What starts the built command line, Chromium or another process; the rest is fast. */
const isEndToEnd = (file: string) =>
  /from '(\S+\/cli\.js|\.\/document\.js|\.\/engines\.js|node:child_process|playwright-core)'/.test(
    readFileSync(file, 'utf8'),
  );

const project = (name: string, timeout: number, include: string[]) => ({
  test: {
    ...{ name, include, testTimeout: timeout, hookTimeout: timeout, pool: 'forks' as const },
    setupFiles: ['test/same-bytes.ts'],
  },
});

export default defineConfig({
  test: {
    globalSetup: ['test/temporary-files.ts'],
    maxWorkers: 2,
    projects: [
      project(
        'unit',
        60_000,
        files.filter((file) => !isEndToEnd(file)),
      ),
      project('e2e', 300_000, files.filter(isEndToEnd)),
    ],
  },
});
