/** Inflating parts of deflated data sets. */
import { constants, createInflateRaw } from 'node:zlib';

const INFLATED_AT_ONCE = 1 << 20;

/**
 * Bytes `from` to `from + bytes` of what the beginning of a deflated stream inflates to; fewer where it ends before.
 * What follows them is not inflated, and what lies before them is not kept.
 * @throws Error when the stream is corrupt
 */
export async function inflateRaw(deflated: Buffer, from: number, bytes: number): Promise<Buffer> {
  const inflater = createInflateRaw({
    chunkSize: Math.min(Math.max(bytes, constants.Z_MIN_CHUNK), INFLATED_AT_ONCE),
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  inflater.end(deflated);
  const result = Buffer.allocUnsafeSlow(bytes);
  let at = -from;
  for await (const piece of inflater as AsyncIterable<Buffer>) {
    if (at + piece.length > 0) piece.copy(result, Math.max(0, at), Math.max(0, -at));
    at += piece.length;
    if (at >= bytes) break;
  }
  return result.subarray(0, Math.max(0, Math.min(at, bytes)));
}
