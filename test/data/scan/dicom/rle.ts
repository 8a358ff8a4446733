import { bytesOf } from './writer.js';

/** Packs bytes as runs of three or more, and as they are. */
function packed(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    let run = 1;
    while (run < 128 && at + run < bytes.length && bytes[at + run] === bytes[at]) run++;
    if (run > 2) out.push(257 - run, bytes[at]!);
    else out.push(0, bytes[at]!);
    at += run > 2 ? run : 1;
  }
  return Uint8Array.from(out);
}

/** A frame in DICOM's run-length encoding. */
export function rle(words: Int16Array): Buffer {
  const bytes = bytesOf(words);
  const planes = [1, 0].map((byte) =>
    packed(Uint8Array.from({ length: words.length }, (_, i) => bytes[2 * i + byte]!)),
  );
  const header = Buffer.alloc(64);
  header.writeUInt32LE(2, 0);
  header.writeUInt32LE(64, 4);
  header.writeUInt32LE(64 + planes[0]!.length, 8);
  return Buffer.concat([header, ...planes]);
}
