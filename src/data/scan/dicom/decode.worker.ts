/** A thread that decodes compressed frames. */
import { answerRequests } from '../../../worker.js';
import type { NumberArray } from '../elements.js';
import { decodeFrame } from './codecs.js';
import type { PixelFormat } from './pixels.js';

export interface FrameToDecode {
  /** For messages. */
  readonly path: string;
  readonly encoded: Uint8Array;
  readonly format: PixelFormat;
}

answerRequests(
  ({ path, encoded: { buffer, byteOffset, byteLength }, format }: FrameToDecode): Promise<NumberArray> =>
    decodeFrame(path, Buffer.from(buffer, byteOffset, byteLength), format),
  ({ buffer }) => [buffer as ArrayBuffer],
);
