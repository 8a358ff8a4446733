import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const all = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.long.test.ts'));
/** The commands of all documents take as long as a third of everything else. */
const documents = all.filter((name) => dirname(name) === join('test', 'docs'));
const files = all.filter((name) => !documents.includes(name));
/** Files with this in them, and those without. */
const parted = (pattern: RegExp, names: readonly string[]) => {
  const matching = names.filter((name) => pattern.test(readFileSync(name, 'utf8')));
  return [matching, names.filter((name) => !matching.includes(name))] as const;
};
/** What starts the built command line, Chromium or another process; the rest is fast. */
const [endToEnd, unit] = parted(
  /from '(\S+\/cli\.js|\.\/(chromium|engines|service)\.js|node:child_process|playwright-core)'/,
  files,
);

/** Files share their worker's modules, which takes a fifth less time than loading them for each, unless they replace some. */
const projects = (name: string, timeout: number, names: readonly string[]) => {
  const [replacing, sharing] = parted(/\bvi\.(mock|doMock)\(/, names);
  return [
    { name, include: sharing, isolate: false },
    { name: `${name}-isolated`, include: replacing, isolate: true },
  ]
    .filter(({ include }) => include.length > 0)
    .map((part) => ({
      test: {
        ...part,
        ...{ testTimeout: timeout, hookTimeout: timeout, pool: 'forks' as const },
        setupFiles: ['test/same-bytes.ts'],
      },
    }));
};

/** What takes longest comes first, so that no worker waits for another's last file. */
class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications);
    const rank = ({ project: { name } }: TestSpecification) => (name.startsWith('e2e') ? 0 : 1);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/temporary-files.ts'],
    maxWorkers: 2,
    projects: [
      ...projects('unit', 60_000, unit),
      ...projects('e2e', 300_000, endToEnd),
      ...projects('docs', 300_000, documents),
    ],
  },
});
