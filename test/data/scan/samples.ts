import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { Volume, XYZ } from '../../../src/data/scan/volume.js';
import { UserError } from '../../../src/errors.js';

/** A folder of its own for one test file; gone when its tests are done. */
export function temporaryFolder(): (name: string, content?: string | Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), 'p2w-formats-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name, content) => {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    return path;
  };
}

/** Asserts that a promise fails with a message for users, and returns it. */
export async function userErrorOf(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

/** Element types with the range of their values and a DataView setter written out here, apart from the code under test. */
export const TYPES = {
  int8: { bytes: 1, low: -128, high: 127, set: (v, at, x) => v.setInt8(at, x) },
  uint8: { bytes: 1, low: 0, high: 255, set: (v, at, x) => v.setUint8(at, x) },
  int16: { bytes: 2, low: -32768, high: 32767, set: (v, at, x, le) => v.setInt16(at, x, le) },
  uint16: { bytes: 2, low: 0, high: 65535, set: (v, at, x, le) => v.setUint16(at, x, le) },
  int32: { bytes: 4, low: -(2 ** 31), high: 2 ** 31 - 1, set: (v, at, x, le) => v.setInt32(at, x, le) },
  uint32: { bytes: 4, low: 0, high: 2 ** 32 - 1, set: (v, at, x, le) => v.setUint32(at, x, le) },
  int64: {
    bytes: 8,
    low: -(2 ** 53),
    high: 2 ** 53,
    set: (v, at, x, le) => v.setBigInt64(at, BigInt(x), le),
  },
  uint64: { bytes: 8, low: 0, high: 2 ** 53, set: (v, at, x, le) => v.setBigUint64(at, BigInt(x), le) },
  float32: { bytes: 4, low: -3000, high: 3000, set: (v, at, x, le) => v.setFloat32(at, x, le) },
  float64: { bytes: 8, low: -3000, high: 3000, set: (v, at, x, le) => v.setFloat64(at, x, le) },
} satisfies Record<string, TypeFacts>;

export type TypeName = keyof typeof TYPES;
export const TYPE_NAMES = Object.keys(TYPES) as TypeName[];

interface TypeFacts {
  bytes: number;
  low: number;
  high: number;
  set: (view: DataView, at: number, value: number, littleEndian: boolean) => void;
}

/** Values as the bytes of a file. */
export function rawBytes(values: ArrayLike<number>, type: TypeName, littleEndian = true): Uint8Array {
  const facts: TypeFacts = TYPES[type];
  const bytes = new Uint8Array(values.length * facts.bytes);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) facts.set(view, i * facts.bytes, values[i]!, littleEndian);
  return bytes;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A small oblique CT with every voxel different. */
export function phantom(size: XYZ = [5, 4, 3]): Volume {
  const [s, c] = [Math.sin(0.2), Math.cos(0.2)];
  return {
    size,
    spacing: [0.703125, 0.75, 2.5],
    origin: [-161.5, -140.25, 33.75],
    direction: [c, -s, 0, s, c, 0, 0, 0, 1],
    voxels: Int16Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => 37 * i - 1000),
  };
}

/** Asserts that two grids are the same up to rounding of the file format. */
export function expectSameGrid(actual: Volume, expected: Volume, digits: number): void {
  expect(actual.size).toEqual(expected.size);
  for (const key of ['spacing', 'origin', 'direction'] as const) {
    actual[key].forEach((value, i) => {
      expect(value, `${key}[${i}]`).toBeCloseTo(expected[key][i]!, digits);
    });
  }
}

export interface NiftiFields {
  version?: 1 | 2;
  littleEndian?: boolean;
  dim?: number[];
  datatype?: number;
  pixdim?: number[];
  voxOffset?: number;
  slope?: number;
  intercept?: number;
  qform?: { code: number; bcd: number[]; offset: number[] };
  sform?: { code: number; rows: number[] };
  units?: number;
  magic?: string;
}

/** A NIfTI header with its four extension flags, laid out by hand after nifti1.h and nifti2.h. */
export function niftiHeader(fields: NiftiFields = {}): Uint8Array {
  const { version = 1, littleEndian: le = true, dim = [3, 5, 4, 3, 1, 1, 1, 1], datatype = 4 } = fields;
  const { pixdim = [1, 1, 1, 1, 1, 1, 1, 1], slope = 0, intercept = 0, units = 2 } = fields;
  const { qform = { code: 0, bcd: [0, 0, 0], offset: [0, 0, 0] } } = fields;
  const { sform = { code: 0, rows: new Array(12).fill(0) as number[] } } = fields;
  const one = version === 1;
  const bytes = new Uint8Array(one ? 352 : 544);
  const view = new DataView(bytes.buffer);
  const real = (at: number, x: number) => (one ? view.setFloat32(at, x, le) : view.setFloat64(at, x, le));
  const reals = (at: number, xs: number[]) => {
    for (const [i, x] of xs.entries()) real(at + i * (one ? 4 : 8), x);
  };
  const code = (at: number, x: number) => (one ? view.setInt16(at, x, le) : view.setInt32(at, x, le));
  view.setInt32(0, bytes.length - 4, le);
  for (const [i, x] of dim.entries()) {
    if (one) view.setInt16(40 + 2 * i, x, le);
    else view.setBigInt64(16 + 8 * i, BigInt(x), le);
  }
  view.setInt16(one ? 70 : 12, datatype, le);
  reals(one ? 76 : 104, pixdim);
  const voxOffset = fields.voxOffset ?? bytes.length;
  if (one) view.setFloat32(108, voxOffset, le);
  else view.setBigInt64(168, BigInt(voxOffset), le);
  reals(one ? 112 : 176, [slope, intercept]);
  if (one) view.setUint8(123, units);
  else view.setInt32(500, units, le);
  code(one ? 252 : 344, qform.code);
  code(one ? 254 : 348, sform.code);
  reals(one ? 256 : 352, [...qform.bcd, ...qform.offset]);
  reals(one ? 280 : 400, sform.rows);
  bytes.set(Buffer.from(fields.magic ?? (one ? 'n+1\0' : 'n+2\0\r\n\x1a\n'), 'latin1'), one ? 344 : 4);
  return bytes;
}
