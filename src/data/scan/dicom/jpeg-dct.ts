/** DCT-based JPEG (T.81, annexes A and F), rounded as in the Independent JPEG Group's "islow", which most programs use. */
import { BitReader, type JpegScan } from './jpeg-stream.js';

/** Index in a block of each coefficient in zigzag order. */
const ZIGZAG = Uint8Array.from([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
  53, 60, 61, 54, 47, 55, 62, 63,
]);

export function decodeDct(scan: JpegScan): Uint16Array {
  const { columns, rows, precision, restartInterval, segments } = scan;
  if (precision !== 8 && precision !== 12) throw new Error(`${precision} bits`);
  const [across, down] = [Math.ceil(columns / 8), Math.ceil(rows / 8)];
  const samples = new Uint16Array(columns * rows);
  const block = new Int32Array(64);
  const blocks = across * down;
  const inSegment = restartInterval === 0 ? blocks : restartInterval;
  for (let i = 0, segment = 0; i < blocks; segment++) {
    const bits = new BitReader(segments[segment] ?? new Uint8Array());
    let dc = 0;
    for (const end = Math.min(blocks, i + inSegment); i < end; i++) {
      dc = readBlock(scan, bits, dc, block);
      transform(block, precision);
      const [left, top] = [8 * (i % across), 8 * Math.floor(i / across)];
      for (let y = 0; y < 8 && top + y < rows; y++)
        for (let x = 0; x < 8 && left + x < columns; x++)
          samples[(top + y) * columns + left + x] = block[8 * y + x]!;
    }
    bits.finish();
  }
  return samples;
}

/** Decodes and dequantises the coefficients of a block. @returns its DC value, which predicts the next one */
function readBlock(
  { dc, ac, quantisation }: JpegScan,
  bits: BitReader,
  last: number,
  block: Int32Array,
): number {
  if (!ac || !quantisation) throw new Error('a table is missing');
  block.fill(0);
  const first = last + bits.difference(bits.symbol(dc) & 15);
  block[0] = first * quantisation[0]!;
  for (let k = 1; k < 64; k++) {
    const symbol = bits.symbol(ac);
    const length = symbol & 15;
    if (length === 0) {
      if (symbol !== 0xf0) break; // the rest is 0
      k += 15;
      continue;
    }
    k += symbol >> 4;
    if (k > 63) throw new Error('a block is too long');
    block[ZIGZAG[k]!] = bits.difference(length) * quantisation[k]!;
  }
  return first;
}

/** Fractional bits of the constants. */
const CONSTANT_BITS = 13;

/** Inverse DCT of a block in place, columns first, and level shift to unsigned samples. */
function transform(block: Int32Array, precision: number): void {
  // With 12 bits a sample, fewer fractional bits are kept between the passes, so that 32 bits are enough.
  const extra = precision === 8 ? 2 : 1;
  for (let x = 0; x < 8; x++) transformLine(block, x, 8, CONSTANT_BITS - extra);
  for (let y = 0; y < 8; y++) transformLine(block, 8 * y, 1, CONSTANT_BITS + extra + 3);
  const [centre, most] = [1 << (precision - 1), (1 << precision) - 1];
  for (let i = 0; i < 64; i++) block[i] = Math.min(Math.max(block[i]! + centre, 0), most);
}

/** Inverse DCT of eight values (Loeffler, Ligtenberg and Moschytz, 1989); results are rounded and scaled by 2^−`shift`. */
function transformLine(block: Int32Array, start: number, step: number, shift: number): void {
  const at = (i: number) => block[start + i * step]!;
  const even = (at(2) + at(6)) * 4433;
  const e2 = even - at(6) * 15137;
  const e3 = even + at(2) * 6270;
  const e0 = (at(0) + at(4)) * (1 << CONSTANT_BITS);
  const e1 = (at(0) - at(4)) * (1 << CONSTANT_BITS);
  const [a0, a1, a2, a3] = [e0 + e3, e1 + e2, e1 - e2, e0 - e3];
  const [o0, o1, o2, o3] = [at(7), at(5), at(3), at(1)];
  const z5 = (o0 + o2 + o1 + o3) * 9633;
  const z1 = (o0 + o3) * -7373;
  const z2 = (o1 + o2) * -20995;
  const z3 = (o0 + o2) * -16069 + z5;
  const z4 = (o1 + o3) * -3196 + z5;
  const b0 = o0 * 2446 + z1 + z3;
  const b1 = o1 * 16819 + z2 + z4;
  const b2 = o2 * 25172 + z2 + z3;
  const b3 = o3 * 12299 + z1 + z4;
  const half = 1 << (shift - 1);
  block[start] = (a0 + b3 + half) >> shift;
  block[start + 7 * step] = (a0 - b3 + half) >> shift;
  block[start + step] = (a1 + b2 + half) >> shift;
  block[start + 6 * step] = (a1 - b2 + half) >> shift;
  block[start + 2 * step] = (a2 + b1 + half) >> shift;
  block[start + 5 * step] = (a2 - b1 + half) >> shift;
  block[start + 3 * step] = (a3 + b0 + half) >> shift;
  block[start + 4 * step] = (a3 - b0 + half) >> shift;
}
