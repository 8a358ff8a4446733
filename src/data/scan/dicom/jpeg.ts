/**
 * JPEG as scans use it: one channel, Huffman codes, one scan; baseline and extended (8 and 12 bits) and lossless
 * (up to 16). Packages for Node decode 8 bits only, or fail on differences of 16 bits.
 */
import { decodeDct } from './jpeg-dct.js';
import { decodeLossless } from './jpeg-lossless.js';
import { parseJpeg } from './jpeg-stream.js';

/** @returns samples, row by row  @throws Error for what is broken or of another kind */
export function decodeJpeg(bytes: Buffer): Uint16Array {
  const scan = parseJpeg(bytes);
  return scan.lossless ? decodeLossless(scan) : decodeDct(scan);
}
