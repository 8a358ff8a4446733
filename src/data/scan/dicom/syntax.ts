/** Transfer syntaxes: the encoding of data set and pixels. See DICOM PS3.5, section 10, and PS3.6, table A-1. */
import type { Encoding } from './dataset.js';

/** Compression of pixel data. */
export type Codec = 'rle' | 'jpeg' | 'jpeg-lossless' | 'jpeg-ls' | 'jpeg-2000' | 'htj2k';

export interface Syntax extends Encoding {
  readonly name: string;
  /** Whether the data set is deflated. */
  readonly deflated?: true;
  readonly codec?: Codec;
}

const LITTLE = { explicit: true, littleEndian: true };
const BASE = '1.2.840.10008.1.2';

const SYNTAXES: ReadonlyMap<string, Syntax> = new Map(
  Object.entries({
    [BASE]: { name: 'implicit VR little endian', explicit: false, littleEndian: true },
    [`${BASE}.1`]: { name: 'explicit VR little endian', ...LITTLE },
    [`${BASE}.1.99`]: { name: 'deflated explicit VR little endian', ...LITTLE, deflated: true },
    [`${BASE}.2`]: { name: 'explicit VR big endian', explicit: true, littleEndian: false },
    [`${BASE}.5`]: { name: 'RLE lossless', ...LITTLE, codec: 'rle' },
    [`${BASE}.4.50`]: { name: 'JPEG baseline', ...LITTLE, codec: 'jpeg' },
    [`${BASE}.4.51`]: { name: 'JPEG extended', ...LITTLE, codec: 'jpeg' },
    [`${BASE}.4.57`]: { name: 'JPEG lossless', ...LITTLE, codec: 'jpeg-lossless' },
    [`${BASE}.4.70`]: { name: 'JPEG lossless, first-order prediction', ...LITTLE, codec: 'jpeg-lossless' },
    [`${BASE}.4.80`]: { name: 'JPEG-LS lossless', ...LITTLE, codec: 'jpeg-ls' },
    [`${BASE}.4.81`]: { name: 'JPEG-LS near-lossless', ...LITTLE, codec: 'jpeg-ls' },
    [`${BASE}.4.90`]: { name: 'JPEG 2000 lossless', ...LITTLE, codec: 'jpeg-2000' },
    [`${BASE}.4.91`]: { name: 'JPEG 2000', ...LITTLE, codec: 'jpeg-2000' },
    [`${BASE}.4.201`]: { name: 'HTJ2K lossless', ...LITTLE, codec: 'htj2k' },
    [`${BASE}.4.202`]: { name: 'HTJ2K lossless, RPCL', ...LITTLE, codec: 'htj2k' },
    [`${BASE}.4.203`]: { name: 'HTJ2K', ...LITTLE, codec: 'htj2k' },
  }),
);

/** Undefined for a transfer syntax that is not supported. */
export const syntaxOf = (uid: string): Syntax | undefined => SYNTAXES.get(uid);

/** The transfer syntax of a file that does not name it, guessed from its first data element; undefined if it has none. */
export function guessSyntax(bytes: Buffer, at: number): Syntax | undefined {
  if (at + 8 > bytes.length) return undefined;
  const big = bytes[at] === 0 && bytes[at + 1] === 8;
  if (!big && !(bytes[at] === 8 && bytes[at + 1] === 0)) return undefined;
  if (/^[A-Z]{2}$/.test(bytes.toString('latin1', at + 4, at + 6)))
    return SYNTAXES.get(`${BASE}${big ? '.2' : '.1'}`);
  return big || bytes.readUInt32LE(at + 4) > 1 << 10 ? undefined : SYNTAXES.get(BASE);
}
