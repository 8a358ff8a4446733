/** Reading the frames of a series, one after the other. */
import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { startThreads, type Threads } from '../../../worker.js';
import type { NumberArray } from '../elements.js';
import type { FrameToDecode } from './decode.worker.js';
import { readEncoded, readFrame } from './frame.js';
import type { Slice } from './instance.js';

export interface FrameReader {
  /** The stored values of the frame of slice `index`. @throws UserError as {@link readFrame} */
  read(index: number): Promise<NumberArray>;
  /** Must be called when no more frames are read. */
  close(): void;
}

/** A thread has to load its decoder first, which takes as long as decoding a few slices. */
const SLICES_PER_THREAD = 16;
const MOST_THREADS = 8;
/** Reading one file after the other, most of the time would go by with waiting. */
const FILES_AT_ONCE = 4;
/** A decoder that has warmed up is twice as fast: threads are kept for the series that may follow. */
const KEPT_MS = 10_000;

/** Threads that decode, and how many series they are decoding. */
interface Decoders extends Threads<FrameToDecode, NumberArray> {
  readers: number;
}

/** Threads of this process that decode. One that reads scans in threads has none: each decodes frames for itself. */
export const DECODERS = isMainThread ? Math.min(availableParallelism(), MOST_THREADS) : 0;
let kept: Decoders | null = null;
let closing: NodeJS.Timeout | undefined;

function takeDecoders(): Decoders {
  clearTimeout(closing);
  const start = () =>
    startThreads<FrameToDecode, NumberArray>(import.meta.url, './decode.worker', null, DECODERS, {
      nameOf: ({ path }) => path,
    });
  kept ??= { ...start(), readers: 0 };
  kept.readers++;
  kept.keepAlive(true);
  return kept;
}

/** @param failed whether a thread may have died */
function giveBack(decoders: Decoders, failed: boolean): void {
  decoders.readers--;
  const close = () => {
    if (kept === decoders) kept = null;
    decoders.close();
  };
  if (failed && kept === decoders) kept = null;
  if (decoders.readers > 0) return;
  decoders.keepAlive(false);
  if (kept === decoders) closing = setTimeout(close, KEPT_MS).unref();
  else close();
}

/** Reads frames ahead of those that are asked for; the compressed ones of a long series are decoded in threads. */
export function frameReader(slices: readonly Slice[]): FrameReader {
  const areCompressed = slices.every(({ pixels }) => pixels.syntax.codec !== undefined);
  const inThreads = areCompressed && DECODERS > 1 && slices.length >= DECODERS * SLICES_PER_THREAD;
  const ahead = inThreads ? 2 * DECODERS : FILES_AT_ONCE;
  let decoders: Decoders | null = null;
  let failed = false;
  const started = new Map<number, Promise<NumberArray>>();
  const start = async ({ path, pixels, frame }: Slice): Promise<NumberArray> => {
    if (!inThreads) return readFrame(path, pixels, frame);
    decoders ??= takeDecoders();
    const { ask } = decoders;
    return ask({ path, encoded: await readEncoded(path, pixels, frame), format: pixels });
  };
  return {
    read(index) {
      for (let next = index; next < Math.min(index + ahead, slices.length); next++) {
        if (started.has(next)) continue;
        const frame = start(slices[next]!);
        // Who asks for the frame gets the error.
        frame.catch(() => {
          failed = true;
        });
        started.set(next, frame);
      }
      const frame = started.get(index)!;
      started.delete(index);
      return frame;
    },
    close() {
      if (decoders) giveBack(decoders, failed);
      decoders = null;
    },
  };
}
