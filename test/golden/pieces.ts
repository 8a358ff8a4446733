import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** The pieces of a compressed file of this folder, each of which has its length before it. */
export function goldenPieces(name: string): Uint8Array[] {
  const bytes = gunzipSync(readFileSync(new URL(name, import.meta.url)));
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    found.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}
