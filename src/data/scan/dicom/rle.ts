/**
 * RLE lossless (PS3.5, annex G): a PackBits segment for each byte of the pixels, the most significant one first. Decoders for Node.js
 * come only as a part of whole viewers.
 */

const HEADER_BYTES = 64;

/**
 * @param bytesPerPixel of one channel
 * @returns little-endian words; undefined when the segments do not hold all pixels
 */
export function decodeRle(encoded: Buffer, pixels: number, bytesPerPixel: number): Uint8Array | undefined {
  if (encoded.length < HEADER_BYTES || encoded.readUInt32LE(0) !== bytesPerPixel) return undefined;
  const words = new Uint8Array(pixels * bytesPerPixel);
  for (let segment = 0; segment < bytesPerPixel; segment++) {
    const start = encoded.readUInt32LE(4 + 4 * segment);
    const next = segment + 1 < bytesPerPixel ? encoded.readUInt32LE(8 + 4 * segment) : encoded.length;
    const bytes = encoded.subarray(start, Math.max(start, next));
    if (!unpack(bytes, words, bytesPerPixel - 1 - segment, bytesPerPixel)) return undefined;
  }
  return words;
}

/** Fills every `step`th byte from `first` on. @returns false when the data ends too soon */
function unpack(bytes: Uint8Array, words: Uint8Array, first: number, step: number): boolean {
  let to = first;
  for (let at = 0; at < bytes.length && to < words.length; ) {
    const control = bytes[at++]!;
    if (control < 128) {
      for (let left = control + 1; left > 0 && at < bytes.length && to < words.length; left--, to += step)
        words[to] = bytes[at++]!;
    } else if (control > 128) {
      const value = bytes[at++]!;
      for (let left = 257 - control; left > 0 && to < words.length; left--, to += step) words[to] = value;
    }
  }
  return to >= words.length;
}
