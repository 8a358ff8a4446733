import { open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';

/** A file as the body of an answer. */
export interface FileBody {
  readonly body: ReadableStream;
  readonly bytes: number;
}

/**
 * Opens a file that is to be sent: what is wrong with it shows before the answer has begun, and can still be told.
 * @param onClose is called when it has been sent, or nobody wants it any more
 * @throws Error of the system, or for anything but a regular file
 */
export async function openFileBody(path: string, onClose: () => void = () => {}): Promise<FileBody> {
  // Opening a pipe would wait for a writer.
  const found = await stat(path);
  if (!found.isFile()) throw new Error('this is not a regular file');
  const stream = (await open(path)).createReadStream().once('close', onClose);
  return { body: Readable.toWeb(stream) as ReadableStream, bytes: found.size };
}
