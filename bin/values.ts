/** Texts of a command line as values. */
import type { XYZ } from '../src/data/scan/volume.js';
import { UserError } from '../src/errors.js';

/** Three numbers, such as `0.7x0.7x1.5`. @throws UserError when they are none */
export function parseTriple(where: string, text: string): XYZ {
  const values = text.split(/[x×]/).map(Number);
  if (values.length !== 3 || values.some((value) => !(value > 0 && Number.isFinite(value))))
    throw new UserError('usage', {
      what: 'this must be three numbers, x×y×z',
      where,
      got: text,
      expected: 'for example 1x1x2.5',
    });
  return values as unknown as XYZ;
}

/** `128x128x64` as x, y, z. @param where the option @throws UserError when it is no size */
export function parseSize(text: string, where = '--size'): XYZ {
  const sizes = text.split(/[x×]/).map(Number);
  if (sizes.length !== 3 || sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new UserError('usage', {
      what: 'a size must be three positive integers, x×y×z',
      where,
      got: text,
      expected: 'for example 128x128x64',
    });
  return sizes as unknown as XYZ;
}

/** `x,y,z,x,y,z` as the first and the last voxel of a box. @throws UserError when it is none */
export function parseBox(text: string, where = '--box'): readonly [XYZ, XYZ] {
  const values = text.split(',').map(Number);
  if (values.length !== 6 || values.some((value) => !Number.isSafeInteger(value)))
    throw new UserError('usage', {
      what: 'a box must be six integers: its first and its last voxel',
      where,
      got: text,
      expected: 'for example 40,60,20,79,99,39',
    });
  return [values.slice(0, 3), values.slice(3)] as unknown as readonly [XYZ, XYZ];
}

/** `-1,1` as two numbers, the lower one first. @param where the option @throws UserError when they are none */
export function parseRange(where: string, text: string): [number, number] {
  const ends = text.split(',').map((end) => (end.trim() === '' ? Number.NaN : Number(end)));
  const [low, high] = ends as [number, number];
  if (ends.length === 2 && low < high && high - low < Number.POSITIVE_INFINITY) return [low, high];
  throw new UserError('usage', {
    what: 'a range must be two numbers, the lower one first',
    where,
    got: text,
    expected: 'for example -1,1',
  });
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `500M` as bytes. @param where the option @throws UserError when it is no size of a file */
export function parseBytes(where: string, text: string): number {
  const [, digits, unit] = /^(\d+)([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit?.toUpperCase() ?? ''] ?? 0);
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw new UserError('usage', {
    what: 'this is not a number of bytes',
    where,
    got: text,
    expected: 'for example 500M or 2G',
  });
}

/** `a,b` as names. */
export const parseNames = (text: string): string[] => text.split(',').map((name) => name.trim());

/** `name=value` of each text. @throws UserError when one is not written so, or two have the same name */
export function parsePairs(where: string, texts: readonly string[]): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at <= 0)
      throw new UserError('usage', { what: 'this must be written as name=value', where, got: text });
    const name = text.slice(0, at);
    if (pairs.has(name)) throw new UserError('usage', { what: 'this is given twice', where, got: name });
    pairs.set(name, text.slice(at + 1));
  }
  return Object.fromEntries(pairs);
}

/** Sizes of inputs by their names, each as `name=1x1x32x32x32`. @throws UserError when one is not written so */
export function parseInputSizes(texts: readonly string[]): Record<string, number[]> {
  const where = '--input-size';
  return Object.fromEntries(
    Object.entries(parsePairs(where, texts)).map(([name, text]) => {
      const sizes = text.split(/[x×]/).map(Number);
      if (sizes.every((size) => Number.isSafeInteger(size) && size > 0)) return [name, sizes];
      throw new UserError('usage', {
        what: 'the sizes of an input must be positive integers',
        where,
        got: `${name}=${text}`,
        expected: 'for example image=1x1x32x32x32',
      });
    }),
  );
}
