import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { strToU8, unzipSync, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { npyHeader } from '../../../src/data/scan/npy.js';
import { readNpz } from '../../../src/data/scan/npz.js';
import { UserError } from '../../../src/errors.js';
import { readWeights } from '../../../src/weights/weight-file.js';
import { temporaryFolder } from '../store/tiles-sample.js';

const folder = temporaryFolder();
let count = 0;
function fileOf(bytes: Uint8Array, extension = 'npz'): string {
  const path = join(folder, `${count++}.${extension}`);
  writeFileSync(path, bytes);
  return path;
}
const golden = (name: string) => new URL(`../../golden/${name}`, import.meta.url).pathname;
const npy = (shape: number[], values: number[]) =>
  Buffer.concat([npyHeader('float32', shape), Buffer.from(Float32Array.from(values).buffer)]);

describe('arrays that NumPy wrote', () => {
  test('keep names, types, shapes and values', async () => {
    const arrays = await readNpz(golden('arrays.npz'));
    expect([...arrays]).toEqual([
      ['plain', { dtype: 'float32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) }],
      ['big', { dtype: 'float64', shape: [2], data: Float64Array.of(1.5, -2) }],
      ['scalar', { dtype: 'float32', shape: [], data: Float32Array.of(0.5) }],
      ['count', { dtype: 'int64', shape: [], data: BigInt64Array.of(7n) }],
      ['empty', { dtype: 'float32', shape: [0, 3], data: new Float32Array(0) }],
    ]);
  });

  test.each([0, 9] as const)('are refused where a bit has changed (compressed by %i)', async (level) => {
    const archive = zipSync({ 'weight.npy': npy([4], [0.518, 1, 2, 3]) }, { level });
    expect((await readNpz(fileOf(archive))).size).toBe(1);
    const stored = Buffer.from(archive);
    const at = level === 0 ? stored.indexOf(Buffer.from(Float32Array.of(0.518).buffer)) : 45;
    stored[at]! ^= 8;
    await expect(readNpz(fileOf(stored))).rejects.toThrow(UserError);
  });

  test('are the same compressed', async () => {
    const files = unzipSync(readFileSync(golden('arrays.npz')));
    const compressed = fileOf(zipSync(files, { level: 9 }));
    expect(await readNpz(compressed)).toEqual(await readNpz(golden('arrays.npz')));
  });

  test('may be in Fortran order and of half precision, as weights too', async () => {
    const halves = Buffer.concat([
      npyHeader('float16', [2, 3]),
      Buffer.from('003c00400042004400450046', 'hex'),
    ]);
    halves.write('True ', halves.indexOf('False'), 'latin1');
    const path = fileOf(zipSync({ 'weight.npy': halves }));
    // 1 … 6, stored column by column.
    const data = Float32Array.of(1, 3, 5, 2, 4, 6);
    expect([...(await readNpz(path))]).toEqual([['weight', { dtype: 'float16', shape: [2, 3], data }]]);
    expect((await readWeights(path)).get('weight')).toEqual({ type: 'float16', shape: [2, 3], data });
  });

  test('are weights as float32, but for integers', async () => {
    const weights = await readWeights(golden('arrays.npz'));
    expect(weights.get('big')).toEqual({ type: 'float64', shape: [2], data: Float32Array.of(1.5, -2) });
    expect(weights.get('count')).toEqual({ type: 'int64', shape: [], data: null });
  });
});

describe('an archive is refused', () => {
  const good = Buffer.from(zipSync({ 'a.npy': npy([2, 2], [1, 2, 3, 4]) }, { level: 9 }));
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(good);
    bytes.writeUInt32LE(value, at);
    return fileOf(bytes);
  };
  const directory = good.indexOf('PK\x01\x02');

  test.each<[string, () => string, RegExp]>([
    ['without a directory', () => fileOf(good.subarray(0, directory)), /not a complete \.npz archive/],
    ['that is empty', () => fileOf(new Uint8Array(0)), /not a complete \.npz archive/],
    ['that claims gigabytes', () => changed(directory + 24, 0xf0000000), /a\.npy: 4026531840 bytes, stored/],
    ['that claims more than the file', () => changed(directory + 20, 0xf0000000), /in a file of/],
    ['that claims less than it has', () => changed(directory + 24, 140), /a\.npy: its checksum is another/],
    ['whose array is cut off', () => fileOf(zipSync({ 'a.npy': npy([3], [1, 2]) })), /got: +8[\s\S]*12/],
    [
      'whose array is too long',
      () => fileOf(zipSync({ 'a.npy': npy([1], [1, 2]) })),
      /got: +8[\s\S]*4 bytes/,
    ],
    ['with other files', () => fileOf(zipSync({ 'a.txt': strToU8('hello') })), /a\.txt: .*NumPy array/],
  ])('%s', async (_, path, message) => {
    const error = await readNpz(path()).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'UserError', kind: 'input' });
    expect((error as Error).message).toMatch(message);
  });

  test('or read, but never anything else, whatever its bytes', async () => {
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        const error = await readNpz(fileOf(bytes)).catch((e: unknown) => e);
        if (error instanceof Error) expect(error).toBeInstanceOf(UserError);
      }),
      { numRuns: 500 },
    );
  });
});

test('weights of another kind are refused, with a way out', async () => {
  await expect(readWeights(fileOf(new Uint8Array(4), 'pt'))).rejects.toThrow(
    /expected: \.safetensors or \.npz[\s\S]*savez/,
  );
});
