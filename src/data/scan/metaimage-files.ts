import { checkFileCount, listedNames, namesByPattern } from './data-file-names.js';
import type { Fields } from './metaimage-header.js';
import { unreadable } from './unreadable.js';

/**
 * The names of the files that hold the voxels, in their order: `ElementDataFile` is one name, `LIST [axes]` with one
 * name on each of the lines that follow, or a pattern `slice%03d.raw [first [last [step]]]`. What is listed beyond the
 * size of the scan is passed over, as ITK does.
 * @param rest of the header, behind `ElementDataFile`
 * @throws UserError when there are too few
 */
export function dataFileNames(path: string, fields: Fields, rest: string): string[] {
  const value = fields.ElementDataFile!;
  const list = /^LIST(?:\s+(\d+))?$/i.exec(value);
  if (!list && !value.includes('%')) return [value];
  const lengths = fields.DimSize!.split(/\s+/).map(Number);
  // Axes in one file: all but the last, unless a list says otherwise.
  const listed = Number(list?.[1] ?? 0);
  const axes = listed >= 1 && listed < lengths.length ? listed : lengths.length - 1;
  const count = lengths.slice(axes).reduce((a, b) => a * b, 1);
  checkFileCount(path, count, 'save it as one .mha file');
  const names = list ? listedNames(rest) : numberedNames(path, value, count);
  if (names.length >= count) return names.slice(0, count);
  throw unreadable(path, 'the number of data files does not match the number of slices', {
    got: `ElementDataFile = ${value}: ${names.length} files`,
    expected: `${count} files for ${fields.DimSize} voxels`,
  });
}

/** Names with numbers in the place of one `%d`; without a step, they are spread from the first to the last. */
function numberedNames(path: string, value: string, count: number): string[] {
  const words = value.split(/\s+/);
  const given: number[] = [];
  while (given.length < 3 && /^\d+$/.test(words.at(-1)!)) given.unshift(Number(words.pop()));
  const [first = 1, last = Number.POSITIVE_INFINITY, step = spread(first, last, count)] = given;
  const numbers =
    Number.isSafeInteger(step) && step >= 1
      ? Array.from({ length: count }, (_, i) => first + i * step).filter((number) => number <= last)
      : null;
  const names = numbers && namesByPattern(words.join(' '), numbers);
  if (names) return names;
  throw unreadable(path, 'the pattern for the data files is invalid', {
    got: `ElementDataFile = ${value}`,
    expected:
      'a file name with one number, then the first number, the last and the step: slice%03d.raw 1 100 1',
  });
}

const spread = (first: number, last: number, count: number): number =>
  Number.isFinite(last) && count > 1 ? (last - first) / (count - 1) : 1;
