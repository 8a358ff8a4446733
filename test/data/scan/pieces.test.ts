import { expect, test } from 'vitest';
import { pieces } from '../../../src/data/scan/pieces.js';

test('4 GiB come in pieces that zlib can count', () => {
  const lengths = [...pieces(new Uint8Array(2 ** 32))].map(({ length }) => length);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(2 ** 31);
  expect(lengths.reduce((sum, length) => sum + length)).toBe(2 ** 32);
});

test('pieces are of the view, not of what lies around it', () => {
  const all = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect([...pieces(new Int16Array(all.buffer, 2, 1))].map((piece) => [...piece])).toEqual([[3, 4]]);
});
