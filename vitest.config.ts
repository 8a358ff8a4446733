import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.long.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // Measurements of forms neither come from the user's cache nor go there.
    env: { XDG_CACHE_HOME: mkdtempSync(join(tmpdir(), 'p2w-cache-')) },
  },
});
