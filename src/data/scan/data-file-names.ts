import { unreadable } from './unreadable.js';

/** More slices than any scan has; a claim of more must not keep us busy. */
const MAX_FILES = 1 << 14;

/** @throws UserError for more files than any scan is spread over */
export function checkFileCount(path: string, count: number, fix: string): void {
  if (count > MAX_FILES)
    throw unreadable(path, 'the scan is spread over too many files', {
      got: `${count} files`,
      expected: `at most ${MAX_FILES}`,
      fix,
    });
}

/** The names in the lines below a header that lists its data files. */
export const listedNames = (rest: string): string[] =>
  rest
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

/**
 * A pattern with numbers in the place of its one `%d`, as `printf` would print it.
 * @returns null when it has no such place, or several
 */
export function namesByPattern(pattern: string, numbers: readonly number[]): string[] | null {
  const [, before, zero, width, after] = /^([^%]*)%(0?)(\d{0,2})[diu]([^%]*)$/.exec(pattern) ?? [];
  if (before === undefined) return null;
  return numbers.map((number) => before + String(number).padStart(Number(width), zero ? '0' : ' ') + after);
}
