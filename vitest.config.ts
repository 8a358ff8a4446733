import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.long.test.ts'));
/** What starts the built command line, Chromium or another process; the rest is fast. */
const isEndToEnd = (file: string) =>
  /from '(\S+\/cli\.js|\.\/(chromium|document|engines|service)\.js|node:child_process|playwright-core)'/.test(
    readFileSync(file, 'utf8'),
  );

const project = (name: string, timeout: number, include: string[]) => ({
  test: {
    ...{ name, include, testTimeout: timeout, hookTimeout: timeout, pool: 'forks' as const },
    setupFiles: ['test/same-bytes.ts'],
  },
});

/** What takes longest comes first, so that no worker waits for another's last file. */
class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications);
    const rank = ({ project: { name } }: TestSpecification) => (name === 'e2e' ? 0 : 1);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
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
