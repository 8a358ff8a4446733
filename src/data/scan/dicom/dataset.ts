/** The data elements of a DICOM data set, or of the beginning of one. See DICOM PS3.5, sections 7 and A. */

import type { Tag } from './tags.js';

/** How data elements are encoded. */
export interface Encoding {
  /** Whether the value representation (VR) is explicit. */
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

export interface Element {
  readonly tag: Tag;
  /** Value representation: two letters, or empty where it is implicit. */
  readonly vr: string;
  /** Offset of the value in bytes. */
  readonly start: number;
  /** Value length in bytes; {@link UNDEFINED_LENGTH} where it ends with a delimiter. */
  readonly length: number;
}

/** The data set continues beyond the bytes at hand. */
export class NeedsMoreBytes extends Error {}
/** These bytes are not data elements. */
export class NotElements extends Error {}

export const UNDEFINED_LENGTH = 0xffffffff;
export const ITEM: Tag = 0xfffee000;
const ITEM_END: Tag = 0xfffee00d;
const SEQUENCE_END: Tag = 0xfffee0dd;
/** From here on, elements may be longer than what is read of a file. */
const PIXEL_GROUP: Tag = 0x7fe00000;

/** Nesting of sequences, deeper than in any real file. */
const MAX_DEPTH = 32;

/** VRs with two reserved bytes and a length of four bytes. */
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const SHORT_VRS = new Set('AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US'.split(' '));
/** What some programs write instead of a VR that they do not know. */
const UNKNOWN_VR = /^(\?\?| {2}|\0\0|[A-Za-z]{2})$/;

const uint16 = (bytes: Buffer, at: number, littleEndian: boolean) =>
  littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
const uint32 = (bytes: Buffer, at: number, littleEndian: boolean) =>
  littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);

const tagAt = (bytes: Buffer, at: number, littleEndian: boolean): Tag =>
  uint16(bytes, at, littleEndian) * 0x10000 + uint16(bytes, at + 2, littleEndian);

/** The header of a data element. @throws NeedsMoreBytes */
export function readElement(bytes: Buffer, at: number, { explicit, littleEndian }: Encoding): Element {
  if (at + 8 > bytes.length) throw new NeedsMoreBytes();
  const tag = tagAt(bytes, at, littleEndian);
  const vr = explicit && tag < ITEM ? bytes.toString('latin1', at + 4, at + 6) : '';
  // Items have no VR, and some programs omit that of single elements.
  if (!/^[A-Z]{2}$/.test(vr)) {
    if (UNKNOWN_VR.test(vr) && tag < PIXEL_GROUP) return guessElement(bytes, at, tag, littleEndian);
    return { tag, vr: '', start: at + 8, length: uint32(bytes, at + 4, littleEndian) };
  }
  if (!LONG_VRS.has(vr)) return { tag, vr, start: at + 8, length: uint16(bytes, at + 6, littleEndian) };
  if (at + 12 > bytes.length) throw new NeedsMoreBytes();
  return { tag, vr, start: at + 12, length: uint32(bytes, at + 8, littleEndian) };
}

/**
 * The header of an element whose VR may be omitted, so that its bytes are those of a length, or unknown: with a length of two
 * bytes, or with two reserved bytes and a length of four. It is the first of these that another element follows.
 */
function guessElement(bytes: Buffer, at: number, tag: Tag, littleEndian: boolean): Element {
  const guess = (start: number, length: number): Element => ({ tag, vr: '', start, length });
  const omitted = guess(at + 8, uint32(bytes, at + 4, littleEndian));
  const guesses = [omitted, guess(at + 8, uint16(bytes, at + 6, littleEndian))];
  if (at + 12 <= bytes.length) guesses.push(guess(at + 12, uint32(bytes, at + 8, littleEndian)));
  const found = guesses.find((element) => isFollowed(bytes, element, littleEndian));
  if (found) return found;
  const isCutOff = ({ start, length }: Element) => start + length > bytes.length;
  if (!isFollowedByOmitted(bytes, omitted, littleEndian) && guesses.some(isCutOff))
    throw new NeedsMoreBytes();
  return omitted;
}

/** Whether an element is followed by one that omits its VR, too. */
function isFollowedByOmitted(bytes: Buffer, { start, length }: Element, littleEndian: boolean): boolean {
  if (start + length + 8 > bytes.length) return false;
  const next = readElement(bytes, start + length, { explicit: false, littleEndian });
  return next.tag > 0x00080000 && next.tag % 0x10000 !== 0 && next.start + next.length <= bytes.length;
}

/** Whether the end of an element, or the beginning of an item in it, is where it would have to be. */
function isFollowed(bytes: Buffer, { tag, start, length }: Element, littleEndian: boolean): boolean {
  const next = length === UNDEFINED_LENGTH ? start : start + length;
  if (next + 6 > bytes.length) return next === bytes.length;
  const nextTag = tagAt(bytes, next, littleEndian);
  if (length === UNDEFINED_LENGTH) return nextTag === ITEM || nextTag === SEQUENCE_END;
  const vr = bytes.toString('latin1', next + 4, next + 6);
  // The VRs of a whole private group may be unknown.
  const sameGroup = Math.floor(nextTag / 0x10000) === Math.floor(tag / 0x10000);
  return (
    [ITEM, ITEM_END, SEQUENCE_END].includes(nextTag) ||
    (sameGroup && nextTag > tag) ||
    SHORT_VRS.has(vr) ||
    LONG_VRS.has(vr)
  );
}

/** Encoding of a sequence with VR UN and undefined length (PS3.5, 6.2.2). */
const IMPLICIT: Encoding = { explicit: false, littleEndian: true };

/** Offset of the end of a value. */
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

/** Offset of the end of an item of undefined length, its delimiter included. */
function endOfItem(bytes: Buffer, start: number, encoding: Encoding, depth: number): number {
  let at = start;
  for (;;) {
    const element = readElement(bytes, at, encoding);
    if (element.tag === ITEM_END) return element.start;
    at = endOf(bytes, element, encoding, depth + 1);
  }
}

/** The data elements of a data set, or of an item of a sequence. Values are decoded when they are asked for. */
export class Dataset {
  readonly #elements = new Map<Tag, Element>();

  constructor(
    readonly bytes: Buffer,
    readonly encoding: Encoding,
  ) {}

  /**
   * Reads element headers up to an offset, the end of the item, or the first element for which `isLast` is true.
   * Elements that were read before an error are kept.
   * @returns the element that ended it, if one did
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

  /** A text value (CS, UI, DS, …) without padding; empty without the element. */
  text(tag: Tag): string {
    const element = this.#elements.get(tag);
    if (!element || element.length === UNDEFINED_LENGTH) return '';
    // No such text is longer.
    const end = element.start + Math.min(element.length, 1 << 16);
    return this.bytes.toString('latin1', element.start, end).replaceAll('\0', ' ').trim();
  }

  /** The values of a text element of several values. */
  texts(tag: Tag): string[] {
    const text = this.text(tag);
    return text === '' ? [] : text.split('\\').map((word) => word.trim());
  }

  /** Numbers in text form (DS, IS). */
  decimals(tag: Tag): number[] {
    return this.texts(tag).map((word) => (word === '' ? Number.NaN : Number(word)));
  }

  /** Numbers in binary form. @param vr of the element, where it is implicit */
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

  /** The items of a sequence; none without the element. @throws NotElements, NeedsMoreBytes */
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
