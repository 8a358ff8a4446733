import { expect, test, vi } from 'vitest';
import { writeFileAtomic } from '../src/files.js';
import { temporaryFolder } from './data/scan/samples.js';

const file = temporaryFolder();
const writes: unknown[] = [];
/** What the system takes at a time. */
const MOST = 1_000_000_000;
vi.mock('node:fs', async (original) => ({
  ...(await original<object>()),
  writeSync: (_: number, view: Uint8Array, offset: number, length: number) => {
    writes.push([view.length, offset, length]);
    return Math.min(length, MOST);
  },
}));

test('more than 2 GiB are written in pieces, each from where the system has stopped', () => {
  const bytes = 2 ** 31 + 5;
  writeFileAtomic(file('large'), new Uint8Array(bytes)); // memory that is never touched takes none
  expect(writes).toEqual([
    [bytes, 0, 2 ** 30],
    [bytes, MOST, 2 ** 30],
    [bytes, 2 * MOST, bytes - 2 * MOST],
  ]);
});
