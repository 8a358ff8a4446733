import { describe, expect, it } from 'vitest';
import { type ElementArray, elementTypeOf } from '../../../src/data/scan/elements.js';
import { orientLPS } from '../../../src/data/scan/geometry.js';
import { checkHounsfield } from '../../../src/data/scan/hounsfield.js';
import { readVolume } from '../../../src/data/scan/index.js';
import { writeNpy } from '../../../src/data/scan/npy.js';
import { VoxelBuilder } from '../../../src/data/scan/voxel-builder.js';
import { temporaryFolder, userErrorOf } from './samples.js';

const file = temporaryFolder();
const NAN = Number.NaN;

/** What becomes of stored elements, written in pieces of `piece` bytes. */
function built(elements: ElementArray, slope = 1, intercept = 0, piece = 3) {
  const direction = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const builder = new VoxelBuilder('x', {
    grid: { size: [elements.length, 1, 1], spacing: [1, 1, 1], origin: [0, 0, 0], direction },
    ...{ format: 'test', elementType: elementTypeOf(elements), fields: {} },
    ...{ littleEndian: true, slope, intercept },
  });
  const bytes = new Uint8Array(elements.buffer);
  for (let at = 0; at < bytes.length; at += piece) builder.write(bytes.subarray(at, at + piece));
  return builder.finish();
}

describe('values that are no numbers', () => {
  it('become −1024 HU and are counted', async () => {
    writeNpy(file('n.npy'), Float32Array.of(1, NAN, Number.NEGATIVE_INFINITY, 2.5, 3, 4), [1, 2, 3]);
    const volume = await readVolume(file('n.npy'));
    expect(volume.voxels).toEqual(Float32Array.of(1, -1024, -1024, 2.5, 3, 4));
    expect(volume.nonFinite).toBe(2);
  });

  it('leave the others int16 when these are integral', () => {
    const { voxels, nonFinite } = built(Float64Array.of(NAN, 5, -7));
    expect(voxels).toEqual(Int16Array.of(-1024, 5, -7));
    expect(nonFinite).toBe(1);
  });

  it('include float64 values beyond float32', () => {
    const { voxels, nonFinite } = built(Float64Array.of(1e300, 0.5, 1));
    expect(voxels).toEqual(Float32Array.of(-1024, 0.5, 1));
    expect(nonFinite).toBe(1);
  });

  it('are not mentioned when there are none', async () => {
    writeNpy(file('clean.npy'), Float32Array.of(0.5), [1, 1, 1]);
    expect('nonFinite' in (await readVolume(file('clean.npy')))).toBe(false);
  });

  it('up to half are tolerated, more are refused', async () => {
    writeNpy(file('half.npy'), Float32Array.of(1, NAN), [1, 1, 2]);
    expect((await readVolume(file('half.npy'))).nonFinite).toBe(1);
    writeNpy(file('most.npy'), Float32Array.of(1, NAN, NAN), [1, 1, 3]);
    const error = await userErrorOf(readVolume(file('most.npy')));
    expect(error.facts.got).toContain('2 of 3');
  });

  it('stay counted when the axes are turned', () => {
    const direction = [-1, 0, 0, 0, 1, 0, 0, 0, 1];
    const grid = { size: [2, 1, 1], spacing: [1, 1, 1], origin: [0, 0, 0], direction } as const;
    expect(orientLPS({ ...grid, voxels: new Int16Array(2), nonFinite: 1 }).nonFinite).toBe(1);
  });
});

it('a few values beyond int16 are flaws, more than one in ten thousand are another unit', () => {
  const voxels = Int16Array.from({ length: 20_000 }, (_, i) => (i % 1100) - 1000);
  expect(() => checkHounsfield({ voxels, beyondInt16: 2 }, 'a scan', false)).not.toThrow();
  expect(() => checkHounsfield({ voxels, beyondInt16: 3 }, 'a scan', false)).toThrow(/cannot be HU/);
});

describe('values beyond int16', () => {
  it('are kept as float32 and counted, also when the axes are turned', async () => {
    writeNpy(file('far.npy'), Float32Array.of(1e32, -1e32, 5, -32769, 32768, NAN), [1, 2, 3]);
    const volume = await readVolume(file('far.npy'));
    expect(volume.voxels).toEqual(Float32Array.of(1e32, -1e32, 5, -32769, 32768, -1024));
    expect(volume).toMatchObject({ beyondInt16: 4, nonFinite: 1 });
    expect(orientLPS({ ...volume, direction: [-1, 0, 0, 0, 1, 0, 0, 0, 1] }).beyondInt16).toBe(4);
  });

  it('are those that rounding does not bring back', () => {
    expect(built(Float32Array.of(-32768.5, 32767.25, -32768, 32767)).beyondInt16).toBeUndefined();
    expect(built(Float32Array.of(-32768.75, 32767.5)).beyondInt16).toBe(2);
    expect(built(Uint16Array.of(65535, 1)).beyondInt16).toBe(1);
    expect(built(Uint16Array.of(65535, 1), 1, -32768).beyondInt16).toBeUndefined();
  });

  it('are not mentioned when there are none', async () => {
    writeNpy(file('near.npy'), Float32Array.of(0.5, 32767), [1, 1, 2]);
    expect('beyondInt16' in (await readVolume(file('near.npy')))).toBe(false);
  });
});

describe('int16 or float32', () => {
  it('is decided at the borders of int16', () => {
    expect(built(Int32Array.of(-32768, 32767)).voxels).toBeInstanceOf(Int16Array);
    expect(built(Int32Array.of(-32769)).voxels).toEqual(Float32Array.of(-32769));
    expect(built(Uint16Array.of(32768)).voxels).toEqual(Float32Array.of(32768));
    expect(built(Uint16Array.of(65535), 1, -32768).voxels).toEqual(Int16Array.of(32767));
    expect(built(Uint32Array.of(2 ** 32 - 1, 65536)).voxels).toBeInstanceOf(Float32Array);
  });

  it('is decided by all voxels, however late the one comes that is no int16', () => {
    const elements = Float32Array.from({ length: 700_000 }, (_, i) => i % 3000);
    expect(built(elements, 1, 0, 1e5).voxels).toEqual(Int16Array.from(elements));
    elements[699_999] = 0.5;
    expect(built(elements, 1, 0, 1e5).voxels).toEqual(elements);
    elements[699_999] = NAN;
    expect(built(elements, 2, -10, 1e5)).toMatchObject({ nonFinite: 1, voxels: { 1: -8, 699999: -1024 } });
  });

  it('does not hold on to the bytes, nor change them', () => {
    const elements = BigInt64Array.of(5n, -7n);
    expect(built(elements, 2, 1, 16).voxels).toEqual(Int16Array.of(11, -13));
    expect(elements).toEqual(BigInt64Array.of(5n, -7n));
  });
});
