import { gzipSync } from 'node:zlib';

/** What bgzip makes of bytes: many members, each with its own length in an extra field. */
export function bgzip(bytes: Uint8Array, blockBytes = 1 << 14, level = 6): Buffer {
  const members = Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, i) => {
    const plain = gzipSync(bytes.subarray(i * blockBytes, (i + 1) * blockBytes), { level });
    const last = plain.length + 8 - 1;
    const extra = [6, 0, 'B'.charCodeAt(0), 'C'.charCodeAt(0), 2, 0, last & 0xff, last >> 8];
    plain[3] = 4;
    return Buffer.concat([plain.subarray(0, 10), Buffer.from(extra), plain.subarray(10)]);
  });
  return Buffer.concat(members);
}
