/** Receiving uploads: in pieces, to a file, and never more or slower than allowed. */
import { open } from 'node:fs/promises';
import { Refusal } from './refusal.js';
import type { RequestFolder } from './scratch.js';

export interface ReceiveLimits {
  readonly maxBodyBytes: number;
  /** Time that any upload has. */
  readonly graceSeconds: number;
  /** Beyond that, it must have been as fast as this. */
  readonly leastBytesPerSecond: number;
}

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

/** Takes the rest of a body: many clients read no answer before they have sent it all. The server ends what goes on for too long. */
async function drain(reader: ReadableStreamDefaultReader): Promise<void> {
  try {
    while (!(await reader.read()).done);
  } catch {
    // The client has gone.
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
  const file = await open(folder.upload, 'wx', 0o600);
  let bytes = 0;
  let failure: unknown;
  const fail = (reason: unknown): void => {
    failure ??= reason;
    reader?.cancel().catch(() => {}); // ends a read that is under way
  };
  const left = () => fail(signal.reason);
  const checkSpeed = (): void => {
    const deadline = began + 1000 * (graceSeconds + bytes / leastBytesPerSecond);
    const remaining = deadline - performance.now();
    if (remaining > 0) timer = setTimeout(checkSpeed, remaining);
    else fail(new Refusal(408, 'the upload is too slow'));
  };
  let timer = setTimeout(checkSpeed, 1000 * graceSeconds);
  signal.addEventListener('abort', left);
  if (signal.aborted) left();
  try {
    while (reader) {
      const { value, done } = await reader.read();
      if (failure !== undefined) throw failure;
      if (done) break;
      bytes += value.length;
      if (bytes > maxBodyBytes) throw tooLarge(maxBodyBytes);
      folder.take(value.length);
      await file.writeFile(value);
    }
  } catch (error) {
    if (reader && failure === undefined) void drain(reader);
    throw failure ?? error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', left);
    await file.close();
  }
  if (bytes === 0) throw new Refusal(400, 'the request has no body', { expected: 'a scan' });
  return bytes;
}
