/** Decoding compressed frames; JPEG-LS and JPEG 2000 by packages that are loaded when a file needs them. */
import { UserError } from '../../../errors.js';
import type { NumberArray } from '../elements.js';
import { unreadable } from '../unreadable.js';
import { decodeJpeg } from './jpeg.js';
import type { PixelFormat } from './pixels.js';
import { decodeRle } from './rle.js';
import type { Codec } from './syntax.js';

/** What a decoder in WebAssembly looks like: `@cornerstonejs/codec-*`. */
interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  decode(): void;
  getFrameInfo(): FrameInfo;
  delete?(): void;
}

interface FrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
}

type Package = Exclude<Codec, 'rle' | 'jpeg' | 'jpeg-lossless'>;

/** The module of each package, what its decoder is called, and the name to install. */
const PACKAGES: Readonly<Record<Package, { install: string; module: string; decoder: string }>> = {
  'jpeg-ls': {
    install: '@cornerstonejs/codec-charls',
    module: '@cornerstonejs/codec-charls/decodewasmjs',
    decoder: 'JpegLSDecoder',
  },
  'jpeg-2000': {
    install: '@cornerstonejs/codec-openjpeg',
    module: '@cornerstonejs/codec-openjpeg/decodewasmjs',
    decoder: 'J2KDecoder',
  },
  htj2k: {
    install: '@cornerstonejs/codec-openjph',
    module: '@cornerstonejs/codec-openjph',
    decoder: 'HTJ2KDecoder',
  },
};

/** Packages that are loaded, and how to make a decoder; one that failed is loaded anew. */
const loaded = new Map<Package, Promise<new () => WasmDecoder>>();

async function load(codec: Package): Promise<new () => WasmDecoder> {
  const { module, decoder } = PACKAGES[codec];
  const { default: start } = (await import(module)) as {
    // What it would print, which is the library's, says nothing that the result does not.
    default: (options: object) => Promise<Record<string, new () => WasmDecoder>>;
  };
  const silent = () => {};
  return (await start({ print: silent, printErr: silent }))[decoder]!;
}

/** @throws UserError naming the package to install, where it is not there */
async function decoderOf(codec: Package): Promise<WasmDecoder> {
  const loading = loaded.get(codec) ?? load(codec);
  loaded.set(codec, loading);
  try {
    return new (await loading)();
  } catch (error) {
    loaded.delete(codec);
    throw missing(PACKAGES[codec].install, error);
  }
}

function missing(install: string, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') return error;
  return new UserError('config', {
    what: 'the package that decodes this compression is not installed',
    where: install,
    fix: `npm install ${install}`,
    cause: error,
  });
}

/**
 * A frame's words, as many as it has pixels, in the byte order of this machine.
 * @param path for messages
 * @throws UserError when the frame is broken or is not of its format, or a package is missing
 */
export async function decodeFrame(path: string, encoded: Buffer, format: PixelFormat): Promise<NumberArray> {
  const { codec, name } = format.syntax;
  const broken = (got: string, cause?: unknown) =>
    unreadable(path, `an image compressed as ${name} cannot be decoded`, {
      got,
      fix: 'copy the file again, or decompress it with another program (gdcmconv --raw, dcmdjpeg)',
      cause,
    });
  const [pixels, bytes] = [format.columns * format.rows, format.bitsAllocated / 8];
  if (codec === 'rle') {
    const words = decodeRle(encoded, pixels, bytes);
    if (!words) throw broken(`${encoded.length} bytes`);
    return wordsOf(words, bytes);
  }
  const stated = codec === 'jpeg-2000' || codec === 'htj2k' ? sizeOfJpeg2000(encoded) : sizeOfJpeg(encoded);
  if (!stated || stated.columns !== format.columns || stated.rows !== format.rows || stated.channels !== 1)
    throw broken(
      stated ? `${stated.columns}×${stated.rows} pixels of ${stated.channels} channels` : 'no such image',
    );
  try {
    return codec === 'jpeg' || codec === 'jpeg-lossless'
      ? decodeJpeg(encoded)
      : await decodeWithPackage(codec!, encoded, pixels);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw broken(error instanceof Error ? error.message : 'damaged data', error);
  }
}

/**
 * Bytes a pixel that follow the image, as many as any code has: at the end of a truncated one, CharLS takes half a
 * minute to find that there is nothing left.
 */
const JPEG_LS_PADDING = 8;

async function decodeWithPackage(codec: Package, encoded: Buffer, pixels: number): Promise<NumberArray> {
  const decoder = await decoderOf(codec);
  try {
    const padding = codec === 'jpeg-ls' ? pixels * JPEG_LS_PADDING : 0;
    const buffer = decoder.getEncodedBuffer(encoded.length + padding);
    buffer.set(encoded);
    buffer.fill(0, encoded.length);
    decoder.decode();
    const { bitsPerSample } = decoder.getFrameInfo();
    const bytes = bitsPerSample > 8 ? 2 : 1;
    const decoded = decoder.getDecodedBuffer();
    if (decoded.length !== pixels * bytes) throw new Error(`${decoded.length} bytes`);
    return wordsOf(Uint8Array.from(decoded), bytes);
  } catch (error) {
    // The state of a module that has thrown is unknown.
    loaded.delete(codec);
    throw error;
  } finally {
    decoder.delete?.();
  }
}

function wordsOf({ buffer, byteLength }: Uint8Array, bytes: number): NumberArray {
  if (bytes === 1) return new Uint8Array(buffer, 0, byteLength);
  return bytes === 2
    ? new Uint16Array(buffer, 0, byteLength / 2)
    : new Uint32Array(buffer, 0, byteLength / 4);
}

/** What a compressed image says of its size. */
interface Stated {
  readonly columns: number;
  readonly rows: number;
  readonly channels: number;
}

/** Of JPEG, JPEG lossless and JPEG-LS, from the header of the frame. */
function sizeOfJpeg(bytes: Buffer): Stated | undefined {
  for (let at = 2; at + 10 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    // Frames are C0 to CF, other than tables (C4), extensions (C8) and arithmetic conditions (CC); F7 is JPEG-LS.
    const isFrame =
      marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker));
    if (isFrame) {
      return {
        columns: bytes.readUInt16BE(at + 7),
        rows: bytes.readUInt16BE(at + 5),
        channels: bytes[at + 9]!,
      };
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}

const SIZ = Buffer.from([0xff, 0x4f, 0xff, 0x51]);

/** Of JPEG 2000, from its SIZ marker, which a file format may be wrapped around. */
function sizeOfJpeg2000(bytes: Buffer): Stated | undefined {
  const at = bytes.subarray(0, 1 << 12).indexOf(SIZ) + 4;
  if (at < 4 || at + 39 > bytes.length) return undefined;
  const word = (i: number) => bytes.readUInt32BE(at + 4 + 4 * i);
  const channels = bytes.readUInt16BE(at + 36);
  return {
    columns: word(0) - word(2),
    rows: word(1) - word(3),
    channels,
  };
}
