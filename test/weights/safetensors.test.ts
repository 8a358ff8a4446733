import { execFileSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.js';
import type { NamedTensor } from '../../src/weights/safetensors.js';
import {
  readSafetensors,
  readSafetensorsHeader,
  writeSafetensors,
} from '../../src/weights/safetensors-file.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
let count = 0;
const newPath = () => join(folder, `${count++}.safetensors`);

const SAMPLE: readonly NamedTensor[] = [
  { name: 'b.weight', dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6.5) },
  { name: '0', dtype: 'I64', shape: [1], data: BigInt64Array.of(-7n) },
  { name: '__proto__', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 255) },
  { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
  { name: 'scalar', dtype: 'F64', shape: [], data: Float64Array.of(0.1) },
];

/** A file with this header, as text or JSON, and so many bytes of zeros as tensors. */
function fileOf(header: unknown, dataBytes: number): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const path = newPath();
  writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return path;
}
const entry = (shape: readonly number[], from: number, to: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe('writing and reading', () => {
  test('keeps names, order, types, shapes, values and metadata', () => {
    const path = newPath();
    writeSafetensors(path, SAMPLE, { format: 'ünï', state: '{"a":1}' });
    const { tensors, metadata } = readSafetensors(path);
    expect([...tensors].map(([name, tensor]) => ({ name, ...tensor }))).toEqual(SAMPLE);
    expect(metadata).toEqual({ format: 'ünï', state: '{"a":1}' });
    const header = readSafetensorsHeader(path);
    expect([...header.tensors.keys()]).toEqual(SAMPLE.map(({ name }) => name));
    expect(header.tensors.get('0')).toEqual(entry([1], 24, 32, 'I64'));
  });

  test('tensors begin at a multiple of 8 bytes, behind spaces', () => {
    for (let length = 1; length <= 8; length++) {
      const path = newPath();
      writeSafetensors(path, [{ ...SAMPLE[0]!, name: 'n'.repeat(length) }], {});
      const bytes = readFileSync(path);
      const { dataStart } = readSafetensorsHeader(path);
      expect(dataStart % 8).toBe(0);
      expect(bytes.subarray(8, dataStart).toString()).toMatch(/^\{.*\} *$/);
      expect(bytes.readFloatLE(dataStart + 20)).toBe(6.5);
    }
  });

  test('works for any float32 tensors', () => {
    const tensor = fc
      .tuple(fc.array(fc.nat(4), { maxLength: 4 }), fc.string())
      .chain(([shape, name]) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return fc.record({
          name: fc.constant(name),
          dtype: fc.constant('F32' as const),
          shape: fc.constant(shape),
          data: fc.float32Array({ minLength: size, maxLength: size }),
        });
      })
      .filter(({ name }) => name !== '__metadata__');
    const path = newPath();
    fc.assert(
      fc.property(fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 5 }), (tensors) => {
        writeSafetensors(path, tensors, {});
        const read = [...readSafetensors(path).tensors].map(([name, t]) => ({ name, ...t }));
        expect(read.sort(byName)).toEqual([...tensors].sort(byName));
      }),
      { numRuns: 50 },
    );
  });

  test('reads what Python’s safetensors 0.8 wrote', () => {
    // save_file({'z': arange(3.), '1': ones(2, bfloat16), 'a': arange(2), 's': tensor(2.)}, metadata={'k': 'v'})
    const bytes = Buffer.from(
      '+AAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJrIjoidiJ9LCJhIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRz' +
        'IjpbMCwxNl19LCJzIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsxNiwyMF19LCJ6Ijp7ImR0eXBlIjoi' +
        'RjMyIiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbMjAsMzJdfSwiMSI6eyJkdHlwZSI6IkJGMTYiLCJzaGFwZSI6WzJdLCJkYXRh' +
        'X29mZnNldHMiOlszMiwzNl19fSAgIAAAAAAAAAAAAQAAAAAAAAAAAABAAAAAAAAAgD8AAABAgD+APw==',
      'base64',
    );
    const path = newPath();
    writeFileSync(path, bytes);
    const { tensors, metadata } = readSafetensors(path);
    expect(metadata).toEqual({ k: 'v' });
    expect([...tensors]).toEqual([
      ['a', { dtype: 'I64', shape: [2], data: BigInt64Array.of(0n, 1n) }],
      ['s', { dtype: 'F32', shape: [], data: Float32Array.of(2) }],
      ['z', { dtype: 'F32', shape: [3], data: Float32Array.of(0, 1, 2) }],
      ['1', { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0x3f80) }],
    ]);
  });
});

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);

test.each<[string, readonly NamedTensor[], RegExp]>([
  [
    'fewer values than its shape',
    [{ ...SAMPLE[0]!, shape: [7] }],
    /Float32Array of 6[\s\S]*of 7, for F32 \[7\]/,
  ],
  ['values of another type', [{ ...SAMPLE[0]!, dtype: 'I32' }], /Float32Array of 6[\s\S]*Int32Array of 6/],
  ['a name twice', [SAMPLE[0]!, SAMPLE[0]!], /"b\.weight": this name is already in use/],
  ['the name of the metadata', [{ ...SAMPLE[0]!, name: '__metadata__' }], /already in use/],
])('a tensor with %s is not written, and the old file stands', (_, tensors, message) => {
  const path = newPath();
  writeFileSync(path, 'old');
  const error = errorOf(() => writeSafetensors(path, tensors, {}));
  expect(error).toMatchObject({ name: 'UserError', kind: 'usage' });
  expect(error.message).toMatch(message);
  expect(readFileSync(path, 'utf8')).toBe('old');
});

describe('a file is refused', () => {
  test('wherever it is cut off', () => {
    const path = newPath();
    writeSafetensors(path, SAMPLE, {});
    for (let size = readFileSync(path).length - 1; size >= 0; size -= 3) {
      truncateSync(path, size);
      for (const read of [readSafetensors, readSafetensorsHeader])
        expect(errorOf(() => read(path))).toMatchObject({
          name: 'UserError',
          kind: 'run',
          facts: { where: path },
        });
    }
  });

  test.each<[string, unknown, number, RegExp]>([
    ['no JSON', '{"a":', 0, /not JSON/],
    ['no object', [], 0, /not an object/],
    ['metadata that are no text', { __metadata__: { step: 1 } }, 0, /metadata/],
    ['a type that does not exist', { a: entry([1], 0, 4, 'F31') }, 4, /"a": its type is not supported/],
    ['a negative size', { a: entry([-1, -1], 0, 4) }, 4, /"a"/],
    ['a size that is not whole', { a: entry([0.5, 2], 0, 4) }, 4, /"a"/],
    ['a huge shape', { a: entry([2 ** 50, 2 ** 50], 0, 4) }, 4, /"a" at bytes 0 to 4/],
    ['offsets beyond the end', { a: entry([2 ** 40], 0, 2 ** 42) }, 4, /instead of 4398046511/],
    ['a hole', { a: entry([1], 0, 4), b: entry([1], 8, 12) }, 12, /"b" at bytes 8 to 12/],
    ['an overlap', { a: entry([2], 0, 8), b: entry([1], 4, 8) }, 8, /"b" at bytes 4 to 8/],
    ['bytes that belong to nothing', { a: entry([1], 0, 4) }, 8, /bytes instead of/],
    ['a key that is not in the format', { a: { ...entry([1], 0, 4), extra: 1 } }, 4, /"a"/],
  ])('with %s', (_, header, dataBytes, message) => {
    const error = errorOf(() => readSafetensors(fileOf(header, dataBytes)));
    expect(error).toMatchObject({ name: 'UserError', kind: 'run' });
    expect(error.message).toMatch(message);
  });

  test('when its header is longer than the file, without memory being taken for it', () => {
    const path = newPath();
    for (const length of [9n, 2n ** 40n, 2n ** 64n - 1n]) {
      const bytes = Buffer.alloc(16);
      bytes.writeBigUInt64LE(length);
      writeFileSync(path, bytes);
      expect(errorOf(() => readSafetensorsHeader(path)).message).toContain('in a file of 16');
    }
  });

  test('when it is none: missing, a folder, a pipe', () => {
    expect(errorOf(() => readSafetensors(newPath()))).toMatchObject({ kind: 'disk' });
    expect(errorOf(() => readSafetensors(folder)).message).toContain('not a regular file');
    const pipe = newPath();
    execFileSync('mkfifo', [pipe]);
    expect(errorOf(() => readSafetensors(pipe)).message).toContain('not a regular file');
  });

  test('or read, but never anything else, whatever its bytes', () => {
    const path = newPath();
    writeSafetensors(path, SAMPLE, { k: 'v' });
    const good = readFileSync(path);
    const change = fc.tuple(
      fc.nat(good.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789{}[]":,'))),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        writeFileSync(path, bytes);
        try {
          readSafetensors(path);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
