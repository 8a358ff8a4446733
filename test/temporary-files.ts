import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Gives a whole test run one folder for everything temporary, also for what a killed child leaves,
 * and removes it at the end. Measurements of forms neither come from the user's cache nor go there.
 */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'p2w-test-'));
  process.env.TMPDIR = process.env.TEMP = folder; // POSIX, Windows
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  return () => rmSync(folder, { recursive: true, force: true });
}
