/** The elements of a DICOM data set that lies in memory, whole or its beginning. See DICOM PS3.5, sections 7 and A. */

/** How elements are written. */
export interface Encoding {
  /** Whether elements name the representation of their value. */
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

/** Group and element in one number: (0028,0010) is 0x00280010. */
export type Tag = number;

export interface Element {
  readonly tag: Tag;
  /** Representation of the value: two letters, or none where it is not written. */
  readonly vr: string;
  /** Byte at which the value begins. */
  readonly start: number;
  /** Of the value, in bytes; {@link UNDEFINED_LENGTH} where it ends with a delimiter. */
  readonly length: number;
}

/** Elements go on behind the bytes that are there. */
export class NeedsMoreBytes extends Error {}
/** Bytes are no elements. */
export class NotElements extends Error {}

export const UNDEFINED_LENGTH = 0xffffffff;
export const ITEM: Tag = 0xfffee000;
const ITEM_END: Tag = 0xfffee00d;
const SEQUENCE_END: Tag = 0xfffee0dd;

/** Deeper than any real sequence. */
const MAX_DEPTH = 32;

/** Representations whose length has four bytes, behind two that are reserved. */
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);

const uint16 = (bytes: Buffer, at: number, littleEndian: boolean) =>
  littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
const uint32 = (bytes: Buffer, at: number, littleEndian: boolean) =>
  littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);

/** An element without its value. @throws NeedsMoreBytes */
export function readElement(bytes: Buffer, at: number, { explicit, littleEndian }: Encoding): Element {
  if (at + 8 > bytes.length) throw new NeedsMoreBytes();
  const tag = uint16(bytes, at, littleEndian) * 0x10000 + uint16(bytes, at + 2, littleEndian);
  const vr = explicit && tag < ITEM ? bytes.toString('latin1', at + 4, at + 6) : '';
  // Items have no representation, and some programs leave it out of single elements.
  if (!/^[A-Z]{2}$/.test(vr)) {
    return { tag, vr: '', start: at + 8, length: uint32(bytes, at + 4, littleEndian) };
  }
  if (!LONG_VRS.has(vr)) return { tag, vr, start: at + 8, length: uint16(bytes, at + 6, littleEndian) };
  if (at + 12 > bytes.length) throw new NeedsMoreBytes();
  return { tag, vr, start: at + 12, length: uint32(bytes, at + 8, littleEndian) };
}

/** What is written as unknown and of undefined length is a sequence of this kind (PS3.5, 6.2.2). */
const IMPLICIT: Encoding = { explicit: false, littleEndian: true };

/** The byte behind the value of an element. */
function endOf(bytes: Buffer, element: Element, encoding: Encoding, depth: number): number {
  if (element.length !== UNDEFINED_LENGTH) return element.start + element.length;
  if (depth > MAX_DEPTH) throw new NotElements('sequences are nested too deeply');
  const inner = element.vr === 'UN' ? IMPLICIT : encoding;
  let at = element.start;
  for (;;) {
    const item = readElement(bytes, at, inner);
    if (item.tag === SEQUENCE_END) return item.start;
    if (item.tag !== ITEM) throw new NotElements('a sequence has something other than items in it');
    at =
      item.length === UNDEFINED_LENGTH
        ? endOfItem(bytes, item.start, inner, depth)
        : item.start + item.length;
  }
}

/** The byte behind the delimiter of an item. */
function endOfItem(bytes: Buffer, start: number, encoding: Encoding, depth: number): number {
  let at = start;
  for (;;) {
    const element = readElement(bytes, at, encoding);
    if (element.tag === ITEM_END) return element.start;
    at = endOf(bytes, element, encoding, depth + 1);
  }
}

/** The elements of a data set, or of an item of a sequence. Values are read when they are asked for. */
export class Dataset {
  readonly #elements = new Map<Tag, Element>();

  constructor(
    readonly bytes: Buffer,
    readonly encoding: Encoding,
  ) {}

  /**
   * Takes in elements up to a byte, the end of an item, or the first one that `isLast` says is the last one.
   * What was taken in before an error stays.
   * @returns the last element
   * @throws NeedsMoreBytes, NotElements
   */
  parse(start: number, end: number, isLast: (tag: Tag) => boolean = () => false): Element | undefined {
    for (let at = start; at < end; ) {
      const element = readElement(this.bytes, at, this.encoding);
      if (isLast(element.tag)) return element;
      if (element.tag === ITEM_END) return element;
      at = endOf(this.bytes, element, this.encoding, 0);
      if (at > this.bytes.length) throw new NeedsMoreBytes();
      this.#elements.set(element.tag, element);
    }
    return undefined;
  }

  has(tag: Tag): boolean {
    return this.#elements.has(tag);
  }

  /** Text of a code, an identifier or a number, without what fills it up; empty without the element. */
  text(tag: Tag): string {
    const element = this.#elements.get(tag);
    if (!element || element.length === UNDEFINED_LENGTH) return '';
    // No such text is longer: of one that is, the beginning shows that it is none.
    const end = element.start + Math.min(element.length, 1 << 16);
    return this.bytes.toString('latin1', element.start, end).replaceAll('\0', ' ').trim();
  }

  /** Several texts in one. */
  texts(tag: Tag): string[] {
    const text = this.text(tag);
    return text === '' ? [] : text.split('\\').map((word) => word.trim());
  }

  /** Numbers that are written as text (DS, IS). */
  decimals(tag: Tag): number[] {
    return this.texts(tag).map((word) => (word === '' ? Number.NaN : Number(word)));
  }

  /** Numbers that are stored as binary ones. @param vr of the element where it does not name it itself */
  numbers(tag: Tag, vr: keyof typeof NUMBER_READERS): number[] {
    const element = this.#elements.get(tag);
    if (!element || element.length === UNDEFINED_LENGTH) return [];
    if (element.vr === 'DS' || element.vr === 'IS') return this.decimals(tag);
    const given = element.vr as keyof typeof NUMBER_READERS;
    const [size, read] = NUMBER_READERS[NUMBER_READERS[given] ? given : vr];
    const count = Math.min(Math.floor(element.length / size), 1 << 16);
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    return Array.from({ length: count }, (_, i) =>
      read(view, element.start + i * size, this.encoding.littleEndian),
    );
  }

  number(tag: Tag, vr: keyof typeof NUMBER_READERS = 'US'): number | undefined {
    return this.numbers(tag, vr)[0];
  }

  /** Items of a sequence; none where there is no such sequence. @throws NotElements, NeedsMoreBytes */
  items(tag: Tag): Dataset[] {
    const sequence = this.#elements.get(tag);
    if (!sequence) return [];
    const encoding = sequence.vr === 'UN' ? IMPLICIT : this.encoding;
    const items: Dataset[] = [];
    const end = sequence.length === UNDEFINED_LENGTH ? this.bytes.length : sequence.start + sequence.length;
    for (let at = sequence.start; at < end; ) {
      const item = readElement(this.bytes, at, encoding);
      if (item.tag !== ITEM) break;
      const undefinedLength = item.length === UNDEFINED_LENGTH;
      const itemEnd = undefinedLength ? end : item.start + item.length;
      const dataset = new Dataset(this.bytes, encoding);
      const delimiter = dataset.parse(item.start, itemEnd);
      at = undefinedLength ? (delimiter?.start ?? end) : itemEnd;
      items.push(dataset);
    }
    return items;
  }

  /** The first item of a sequence. */
  item(tag: Tag): Dataset | undefined {
    return this.items(tag)[0];
  }
}

const NUMBER_READERS = {
  US: [2, (view: DataView, at: number, le: boolean) => view.getUint16(at, le)],
  SS: [2, (view: DataView, at: number, le: boolean) => view.getInt16(at, le)],
  UL: [4, (view: DataView, at: number, le: boolean) => view.getUint32(at, le)],
  SL: [4, (view: DataView, at: number, le: boolean) => view.getInt32(at, le)],
  FL: [4, (view: DataView, at: number, le: boolean) => view.getFloat32(at, le)],
  FD: [8, (view: DataView, at: number, le: boolean) => view.getFloat64(at, le)],
} as const;
