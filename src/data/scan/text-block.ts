import { createReadStream } from 'node:fs';
import { fromSystemError } from '../../errors.js';
import { type ElementType, elementArray, elementBytes } from './elements.js';
import { regularFileSize } from './file.js';
import type { Block } from './scan.js';
import { tooShort, unreadable } from './unreadable.js';

/** No number needs as many characters. */
const MAX_WORD = 400;

/**
 * Voxels that a file has as text: numbers with blanks, line ends or commas between them.
 * @param start byte at which they begin  @param type of the elements that are made of them, little-endian
 */
export const textBlock = (path: string, start: number, type: ElementType): Block => ({
  path,
  async check(bytes) {
    // The shortest number is a digit and what parts it from the next one.
    const available = Math.max(0, (await regularFileSize(path)) - start);
    if (available < 2 * (bytes / elementBytes(type)) - 1)
      throw tooShort(path, `${available} bytes of text`, bytes);
  },
  async *read(bytes) {
    let left = bytes / elementBytes(type);
    for await (const words of readWords(path, start)) {
      const elements = elementArray(type, Math.min(words.length, left));
      const values = elements as unknown as (number | bigint)[];
      for (let i = 0; i < values.length; i++) values[i] = numberOf(path, type, words[i]!);
      left -= values.length;
      yield new Uint8Array(elements.buffer);
      if (left === 0) return;
    }
    throw tooShort(path, `${bytes / elementBytes(type) - left} numbers`, bytes);
  },
});

async function* readWords(path: string, start: number): AsyncGenerator<string[]> {
  let rest = '';
  try {
    for await (const piece of createReadStream(path, { start, encoding: 'latin1' })) {
      const words = (rest + piece).split(/[\s,]+/);
      rest = words.pop()!;
      if (rest.length > MAX_WORD) break;
      yield words.filter((word) => word !== '');
    }
  } catch (error) {
    throw fromSystemError(error, path);
  }
  if (rest !== '') yield [rest];
}

/** @throws UserError for text that is no number of the type */
function numberOf(path: string, type: ElementType, word: string): number | bigint {
  const float = type.startsWith('float');
  const [, sign, name] = /^([+-]?)(nan|inf)(?:inity)?$/i.exec(word) ?? [];
  const value = name ? (/nan/i.test(name) ? Number.NaN : Number(`${sign}Infinity`)) : Number(word);
  if (float ? Number.isNaN(value) && !name : !Number.isInteger(value))
    throw unreadable(path, `a voxel is not a ${float ? '' : 'whole '}number`, { got: word });
  return type.endsWith('int64') ? BigInt(value) : value;
}
