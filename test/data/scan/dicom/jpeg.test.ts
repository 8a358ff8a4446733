/** JPEG, against an encoder and a cosine transform that are written out for it. */
import { describe, expect, it } from 'vitest';
import { decodeJpeg } from '../../../../src/data/scan/dicom/jpeg.js';
import { readVolume } from '../../../../src/data/scan/index.js';
import { randomStream } from '../../../../src/random.js';
import { temporaryFolder } from '../samples.js';
import { Bits, jpeg, lossless, segment, word } from './jpeg-writer.js';
import { bytesOf, ctSlice, dicomBytes, type Elements, fragments, SIZE, slicePixels } from './writer.js';

const noise = (count: number, limit: number) => {
  const random = randomStream(5, 'jpeg', limit);
  return Uint16Array.from({ length: count }, () => random.integer(limit));
};

describe('lossless', () => {
  it.each([1, 2, 3, 4, 5, 6, 7])('samples of 16 bits come back with predictor %i', (predictor) => {
    const samples = noise(63, 65_536);
    samples.set([0, 32_768, 0, 32_768], 20); // differences of 16 bits
    expect(decodeJpeg(lossless(samples, 7, predictor, 16))).toEqual(samples);
  });

  it('samples of 8 and 12 bits come back, also with restarts and without their lowest bits', () => {
    expect(decodeJpeg(lossless(noise(60, 256), 6, 1, 8))).toEqual(noise(60, 256));
    expect(decodeJpeg(lossless(noise(60, 4096), 6, 4, 12, 0, 2))).toEqual(noise(60, 4096));
    const shifted = noise(60, 4096).map((value) => value & ~3);
    expect(decodeJpeg(lossless(shifted, 6, 1, 12, 2))).toEqual(shifted);
  });

  it('is read in a DICOM file', async () => {
    const file = temporaryFolder();
    const signed = slicePixels(0);
    const encoded = lossless(Uint16Array.from(signed), SIZE[0], 1, 16);
    const options = { syntax: '1.2.840.10008.1.2.4.70', compressed: fragments([encoded]) };
    const { voxels } = await readVolume(file('slice', dicomBytes(ctSlice(0), options)));
    expect(voxels).toEqual(signed.map((value) => value - 24));
  });
});

const ZIGZAG = (() => {
  const order: number[] = [];
  for (let sum = 0; sum < 15; sum++)
    for (let i = 0; i <= sum; i++) {
      const [y, x] = sum % 2 === 0 ? [sum - i, i] : [i, sum - i];
      if (x < 8 && y < 8) order.push(8 * y + x);
    }
  return order;
})();

/** The sample at (x, y) of a block of coefficients, by the definition of the transform. */
function sampleOf(coefficients: readonly number[], x: number, y: number, precision: number): number {
  const c = (i: number) => (i === 0 ? Math.SQRT1_2 : 1);
  let sum = 0;
  for (let v = 0; v < 8; v++)
    for (let u = 0; u < 8; u++)
      sum +=
        c(u) *
        c(v) *
        coefficients[8 * v + u]! *
        Math.cos(((2 * x + 1) * u * Math.PI) / 16) *
        Math.cos(((2 * y + 1) * v * Math.PI) / 16);
  return Math.min(Math.max(sum / 4 + 2 ** (precision - 1), 0), 2 ** precision - 1);
}

describe('by cosine transform', () => {
  it.each([
    [8, 0xc0, 0],
    [8, 0xc1, 2],
    [12, 0xc1, 0],
    [12, 0xc1, 1],
  ])(
    'samples of %i bits are what the transform says (frame %i, %i blocks between restarts)',
    (precision, frame, restarts) => {
      const [columns, rows] = [21, 13];
      const random = randomStream(6, 'dct', precision);
      const quantisation = Array.from({ length: 64 }, (_, k) => 1 + (k % 8));
      const blocks = Array.from({ length: 6 }, () =>
        Array.from({ length: 64 }, (_, k) =>
          k === 63 || random.integer(4) === 0 ? random.integer(41) - 20 : 0,
        ),
      );
      const bits = new Bits();
      let last = 0;
      for (const [i, block] of blocks.entries()) {
        if (restarts > 0 && i > 0 && i % restarts === 0) {
          bits.mark(0xd0 + ((i / restarts - 1) % 8));
          last = 0;
        }
        bits.difference(0, block[0]! - last);
        last = block[0]!;
        let run = 0;
        for (let k = 1; k < 64; k++) {
          if (block[k] === 0) run++;
          else {
            for (; run > 15; run -= 16) bits.put(0xf0, 8);
            bits.difference(run, block[k]!);
            run = 0;
          }
        }
        if (run > 0) bits.put(0, 8);
      }
      const decoded = decodeJpeg(
        jpeg({ frame, precision, columns, rows, scan: [0, 63, 0], restarts, quantisation }, bits),
      );
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < columns; x++) {
          const block = blocks[3 * (y >> 3) + (x >> 3)]!;
          const coefficients = new Array<number>(64).fill(0);
          for (const [k, value] of block.entries()) coefficients[ZIGZAG[k]!] = value * quantisation[k]!;
          const expected = sampleOf(coefficients, x & 7, y & 7, precision);
          expect(Math.abs(decoded[y * columns + x]! - expected), `${x}, ${y}`).toBeLessThanOrEqual(1);
        }
    },
  );
});

describe('is refused', () => {
  const good = lossless(noise(60, 4096), 6, 1, 12);
  it.each<[string, Buffer]>([
    ['truncated', good.subarray(0, good.length - 30)],
    ['kind ffc2', Buffer.from(good.toString('latin1').replace('\xff\xc3', '\xff\xc2'), 'latin1')],
    [
      'predictor 0',
      lossless(noise(60, 4096), 6, 1, 12).fill(
        0,
        good.lastIndexOf(Buffer.from([0xff, 0xda])) + 7,
        good.lastIndexOf(Buffer.from([0xff, 0xda])) + 8,
      ),
    ],
    ['a Huffman table is broken', good.subarray(0, 40)],
    ['no marker', Buffer.from([0xff, 0xd8, 1, 2, 3, 4])],
  ])('%s', (message, bytes) => {
    expect(() => decodeJpeg(bytes)).toThrow(message);
  });

  it('with its file, when a second header says another size than the first', async () => {
    const file = temporaryFolder();
    const encoded = lossless(Uint16Array.from(slicePixels(0)), SIZE[0], 1, 16);
    const scan = encoded.lastIndexOf(Buffer.from([0xff, 0xda]));
    const second = Buffer.from(segment(0xc3, [16, ...word(1), ...word(2), 1, 1, 0x11, 0]));
    const twice = Buffer.concat([encoded.subarray(0, scan), second, encoded.subarray(scan)]);
    const options = { syntax: '1.2.840.10008.1.2.4.57', compressed: fragments([twice]) };
    const error = await readVolume(file('twice', dicomBytes(ctSlice(0), options))).catch(String);
    expect(error).toMatch(/cannot be decoded[\s\S]*two frames/);
  });

  it('with its file, when it is of another size', async () => {
    const file = temporaryFolder();
    const more: Elements = { '7fe00010': ['OW', bytesOf(slicePixels(0))] };
    const options = { syntax: '1.2.840.10008.1.2.4.57', compressed: fragments([good]) };
    const error = await readVolume(file('other', dicomBytes(ctSlice(0, more), options))).catch(String);
    expect(error).toMatch(/cannot be decoded[\s\S]*6×10 pixels/);
  });
});
