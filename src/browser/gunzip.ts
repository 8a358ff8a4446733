/** Inflating gzip in a browser, which checks its checksums, but ends with the first member of a file. */

interface Inflating {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** So many bytes at the start of a gzip file say how it is made. */
export const START_BYTES = 18;

/** A flag of gzip, in the fourth byte. */
const EXTRA_FIELD = 4;

/**
 * Length in bytes of a member of bgzip, which writes many, one behind the other, with the length of each in an extra field (SAM/BAM
 * specification, 4.1); null for other gzip.
 */
function memberBytes(start: Uint8Array): number | null {
  const isBgzip =
    start.length >= START_BYTES && (start[3]! & EXTRA_FIELD) !== 0 && start[12] === 66 && start[13] === 67;
  return isBgzip ? start[16]! + 256 * start[17]! + 1 : null;
}

/** Whether a gzip file is of bgzip. @param start its first {@link START_BYTES} */
export const hasMembers = (start: Uint8Array): boolean => memberBytes(start) !== null;

async function inflated(member: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([member]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Inflates all members, one by one. */
function membersInflating(): Inflating {
  let rest = new Uint8Array();
  return new TransformStream<Uint8Array, Uint8Array>({
    async transform(piece, controller) {
      const bytes = new Uint8Array(rest.length + piece.length);
      bytes.set(rest);
      bytes.set(piece, rest.length);
      rest = bytes;
      while (rest.length >= START_BYTES) {
        const length = memberBytes(rest);
        if (length === null) throw new Error('a member of another kind');
        if (rest.length < length) return;
        controller.enqueue(await inflated(rest.slice(0, length)));
        rest = rest.subarray(length);
      }
    },
    flush() {
      if (rest.length > 0) throw new Error('the last member is cut off');
    },
  });
}

/** What inflates a file that begins so. @param start its first {@link START_BYTES} */
export const inflating = (start: Uint8Array): Inflating =>
  hasMembers(start) ? membersInflating() : (new DecompressionStream('gzip') as Inflating);
