/** Receiving uploads: in pieces, to a file, and never more or slower than allowed. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from './refusal.js';
import type { RequestFolder } from './scratch.js';

export interface ReceiveLimits {
  readonly maxBodyBytes: number;
  /** Time that any upload has. */
  readonly graceSeconds: number;
  /** Beyond that, it must have been as fast as this. */
  readonly leastBytesPerSecond: number;
}

export const NAME = 'upload';

const tooLarge = (maxBodyBytes: number) =>
  new Refusal(413, 'the upload is too large', { expected: `at most ${maxBodyBytes} bytes` });

/** @throws Refusal for what cannot be received, by what its headers say */
export function checkUpload(headers: Headers, { maxBodyBytes }: ReceiveLimits): void {
  const type = headers.get('content-type') ?? '';
  if (/^\s*multipart\//i.test(type))
    throw new Refusal(415, 'forms are not taken', {
      got: type.slice(0, 100),
      expected: 'the file itself as the body',
      fix: 'curl --data-binary @scan.nii.gz',
    });
  const encoding = headers.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity')
    throw new Refusal(415, 'compressed bodies are not taken', {
      got: encoding.slice(0, 100),
      expected: 'the file as it is; .nii.gz and .zip are compressed themselves',
    });
  if (Number(headers.get('content-length') ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
}

/** One piece of a body. @throws Refusal when it does not come in time; the signal's reason when it never will */
async function readInTime<T>(read: Promise<T>, deadlineMs: number, signal: AbortSignal): Promise<T> {
  const settled = new AbortController();
  const options = { signal: settled.signal, once: true };
  const failed = new Promise<never>((_, reject) => {
    const late = () => reject(new Refusal(408, 'the upload is too slow'));
    const timer = setTimeout(late, Math.max(0, deadlineMs - performance.now()));
    settled.signal.addEventListener('abort', () => clearTimeout(timer));
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), options);
  });
  try {
    return await Promise.race([read, failed]);
  } finally {
    settled.abort('settled'); // without a reason, an error would be made each time
  }
}

/**
 * Writes a body to a file of a request's folder.
 * @returns how many bytes it has
 * @throws Refusal for one that is empty, too large or too slow; anything else when the client has gone
 */
export async function receiveUpload(
  { body, signal }: Pick<Request, 'body' | 'signal'>,
  folder: RequestFolder,
  { maxBodyBytes, graceSeconds, leastBytesPerSecond }: ReceiveLimits,
): Promise<number> {
  const began = performance.now();
  const reader = body?.getReader();
  const file = await open(join(folder.path, NAME), 'wx', 0o600);
  let bytes = 0;
  try {
    while (reader) {
      const deadline = began + 1000 * (graceSeconds + bytes / leastBytesPerSecond);
      const { value, done } = await readInTime(reader.read(), deadline, signal);
      if (done) break;
      bytes += value.length;
      if (bytes > maxBodyBytes) throw tooLarge(maxBodyBytes);
      folder.take(value.length);
      await file.writeFile(value);
    }
  } catch (error) {
    reader?.cancel().catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
  if (bytes === 0) throw new Refusal(400, 'the request has no body', { expected: 'a scan' });
  return bytes;
}
