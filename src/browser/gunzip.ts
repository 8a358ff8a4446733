/** Inflating gzip in a browser. */
import { Gunzip } from 'fflate';

interface Inflating {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** A flag of gzip, in the fourth byte. */
const EXTRA_FIELD = 4;

/**
 * Whether a gzip file is of bgzip or its kind: these write many members one behind the other, with the length of each in an extra field.
 * @param start at least four bytes
 */
export const hasMembers = (start: Uint8Array): boolean => (start[3]! & EXTRA_FIELD) !== 0;

/** Inflates all members. */
function membersInflating(): Inflating {
  const inflater = new Gunzip();
  return new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      inflater.ondata = (piece) => controller.enqueue(piece);
    },
    transform: (piece) => inflater.push(piece),
    flush: () => inflater.push(new Uint8Array(), true),
  });
}

/** Inflates a file that begins so: by the browser itself, which checks checksums but ends with the first member, where that is all. */
export const inflating = (start: Uint8Array): Inflating =>
  hasMembers(start) ? membersInflating() : (new DecompressionStream('gzip') as Inflating);
