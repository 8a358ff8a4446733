/** More at once zlib cannot take: it counts the bytes of a piece in 32 bits, and drops what is beyond. */
const PIECE_BYTES = 2 ** 28;

/** Bytes in pieces that zlib can take. */
export function* pieces({ buffer, byteOffset, byteLength }: ArrayBufferView): Generator<Buffer> {
  for (let at = 0; at < byteLength; at += PIECE_BYTES)
    yield Buffer.from(buffer as ArrayBuffer, byteOffset + at, Math.min(PIECE_BYTES, byteLength - at));
}
