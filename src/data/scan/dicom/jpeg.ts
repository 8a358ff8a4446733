/**
 * JPEG with one component, one scan and Huffman coding: baseline and extended (8 and 12 bits) and lossless (up to 16).
 * Packages for Node.js decode 8 bits only (jpeg-js, @cornerstonejs/codec-libjpeg-turbo-8bit), fail on differences of category 16
 * (jpeg-lossless-decoder-js), or warn against use in production (dcmjs-codecs).
 */
import { decodeDct } from './jpeg-dct.js';
import { decodeLossless } from './jpeg-lossless.js';
import { parseJpeg } from './jpeg-stream.js';

/** @returns samples, row by row  @throws Error for a broken image, or one of another kind */
export function decodeJpeg(bytes: Buffer): Uint16Array {
  try {
    const scan = parseJpeg(bytes);
    return scan.lossless ? decodeLossless(scan) : decodeDct(scan);
  } catch (error) {
    throw error instanceof RangeError ? new Error('the image is truncated', { cause: error }) : error;
  }
}
