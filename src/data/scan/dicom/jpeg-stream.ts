/** The tables of a JPEG image, and the entropy-coded data of its scan. See ITU-T T.81, annexes B and C. */

/** For each 16 bits of input, the length of the code that they begin with (upper byte) and its symbol; 0 for none. */
export type HuffmanTable = Uint16Array;

export interface JpegScan {
  readonly lossless: boolean;
  readonly columns: number;
  readonly rows: number;
  readonly precision: number;
  /** For DC differences, or lossless ones. */
  readonly dc: HuffmanTable;
  readonly ac: HuffmanTable | undefined;
  /** In zigzag order. */
  readonly quantisation: Uint16Array | undefined;
  readonly predictor: number;
  readonly pointTransform: number;
  /** Number of MCUs between restart markers; 0 without any. */
  readonly restartInterval: number;
  /** The entropy-coded data between restart markers. */
  readonly segments: readonly Uint8Array[];
}

interface Frame {
  readonly lossless: boolean;
  readonly columns: number;
  readonly rows: number;
  readonly precision: number;
  readonly quantisation: number;
}

/** @throws Error for a broken image, or one of another kind */
export function parseJpeg(bytes: Buffer): JpegScan {
  const tables = new Map<number, HuffmanTable>();
  const quantisations = new Map<number, Uint16Array>();
  let frame: Frame | undefined;
  let restartInterval = 0;
  for (let at = 2; ; ) {
    const marker = bytes.readUInt16BE(at);
    if (marker === 0xffff) {
      at++;
      continue;
    }
    if (marker < 0xff01) throw new Error('no marker where one should be');
    const length = bytes.readUInt16BE(at + 2);
    const body = bytes.subarray(at + 4, at + 2 + length);
    at += 2 + length;
    if (marker === 0xffc4) readHuffmanTables(body, tables);
    else if (marker === 0xffdb) readQuantisation(body, quantisations);
    else if (marker === 0xffdd) restartInterval = body.readUInt16BE(0);
    else if (marker >= 0xffc0 && marker <= 0xffcf) {
      if (frame) throw new Error('two frames in one image');
      frame = readFrame(marker, body);
    } else if (marker === 0xffda) {
      if (!frame || body[0] !== 1) throw new Error('not an image of one channel');
      const dc = tables.get(body[2]! >> 4);
      if (!dc) throw new Error('a Huffman table is missing');
      return {
        ...frame,
        ...{
          dc,
          ac: tables.get(0x10 | (body[2]! & 15)),
          quantisation: quantisations.get(frame.quantisation),
        },
        ...{ predictor: body[3]!, pointTransform: body[5]! & 15, restartInterval },
        segments: segmentsOf(bytes.subarray(at)),
      };
    }
  }
}

function readFrame(marker: number, body: Buffer): Frame {
  if (![0xffc0, 0xffc1, 0xffc3].includes(marker)) throw new Error(`frames of kind ${marker.toString(16)}`);
  return {
    lossless: marker === 0xffc3,
    precision: body[0]!,
    rows: body.readUInt16BE(1),
    columns: body.readUInt16BE(3),
    quantisation: body[8]!,
  };
}

/** Tables by class (0 for DC, 1 for AC) and number. */
function readHuffmanTables(body: Buffer, tables: Map<number, HuffmanTable>): void {
  for (let at = 0; at + 17 <= body.length; ) {
    const id = body[at]!;
    const counts = body.subarray(at + 1, at + 17);
    const table = new Uint16Array(1 << 16);
    at += 17;
    let code = 0; // the next one, with zeros up to 16 bits
    for (let length = 1; length <= 16; length++) {
      for (let i = 0; i < counts[length - 1]!; i++, at++) {
        const next = code + (1 << (16 - length));
        if (next > 1 << 16 || at >= body.length) throw new Error('a Huffman table is broken');
        table.fill((length << 8) | body[at]!, code, next);
        code = next;
      }
    }
    tables.set(id, table);
  }
}

function readQuantisation(body: Buffer, tables: Map<number, Uint16Array>): void {
  for (let at = 0; at < body.length; ) {
    const wide = body[at]! >> 4 !== 0;
    const id = body[at]! & 15;
    const start = at + 1;
    at = start + (wide ? 128 : 64);
    if (at > body.length) throw new Error('a quantisation table is broken');
    tables.set(
      id,
      Uint16Array.from({ length: 64 }, (_, i) =>
        wide ? body.readUInt16BE(start + 2 * i) : body[start + i]!,
      ),
    );
  }
}

/** So far behind the end of a segment a {@link BitReader} may look. */
const READ_BEYOND_BYTES = 8;

/** The entropy-coded data up to the next marker other than a restart, without the zeros stuffed after 0xff. */
function segmentsOf(bytes: Buffer): Uint8Array[] {
  const segments: Uint8Array[] = [];
  const coded = new Uint8Array(bytes.length + READ_BEYOND_BYTES);
  let [start, end] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0xff) {
      coded[end++] = bytes[at]!;
      continue;
    }
    const next = bytes[at + 1] ?? 0xd9;
    if (next === 0xff) continue;
    at++;
    if (next === 0) coded[end++] = 0xff;
    else {
      segments.push(coded.subarray(start, end));
      start = end;
      if (next < 0xd0 || next > 0xd7) return segments;
    }
  }
  segments.push(coded.subarray(start, end));
  return segments;
}

/** Reads the bits of a segment. What follows its end has no meaning: see `finish`. */
export class BitReader {
  readonly #view: DataView;
  /** In bits. */
  #at = 0;

  /** @param segment of {@link JpegScan} */
  constructor(readonly segment: Uint8Array) {
    this.#view = new DataView(segment.buffer, segment.byteOffset);
  }

  /** The next 25 bits, or more, at the upper end of 32. @throws RangeError behind the data */
  #next(): number {
    return this.#view.getUint32(this.#at >>> 3) << (this.#at & 7);
  }

  /** The symbol of the next code. @throws Error when there is none */
  symbol(table: HuffmanTable): number {
    const entry = table[this.#next() >>> 16]!;
    if (entry === 0) throw new Error('an invalid code');
    this.#at += entry >> 8;
    return entry & 0xff;
  }

  /** A difference of a category from 0 to 15 (T.81, EXTEND). */
  difference(length: number): number {
    if (length === 0) return 0;
    const value = this.#next() >>> (32 - length);
    this.#at += length;
    // Half of all differences are negative, at random: a branch would be mispredicted as often.
    return value - (((value >>> (length - 1)) - 1) & ((1 << length) - 1));
  }

  /** @throws Error when more bits were read than there are */
  finish(): void {
    if (this.#at > 8 * this.segment.length) throw new Error('the image is truncated');
  }
}
