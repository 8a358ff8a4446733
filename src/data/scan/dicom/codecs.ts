/** Decoding compressed frames. The packages for JPEG-LS, JPEG 2000 and HTJ2K are loaded when a file needs them. */
import { UserError } from '../../../errors.js';
import type { NumberArray } from '../elements.js';
import { unreadable } from '../unreadable.js';
import { decodeJpeg } from './jpeg.js';
import type { PixelFormat } from './pixels.js';
import { decodeRle } from './rle.js';
import type { Codec } from './syntax.js';

/** The decoder of a `@cornerstonejs/codec-*` package. */
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
  readonly isSigned: boolean;
}

type Package = Exclude<Codec, 'rle' | 'jpeg' | 'jpeg-lossless'>;

/** The package to install for each codec, its module and the name of its decoder. */
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

/** Constructors of the decoders that are loaded; one that has failed is loaded again. */
const loaded = new Map<Package, Promise<new () => WasmDecoder>>();

async function load(codec: Package): Promise<new () => WasmDecoder> {
  const { module, decoder } = PACKAGES[codec];
  const { default: start } = (await import(module)) as {
    // Its messages add nothing to its result.
    default: (options: object) => Promise<Record<string, new () => WasmDecoder>>;
  };
  const silent = () => {};
  return (await start({ print: silent, printErr: silent }))[decoder]!;
}

/** @throws UserError naming the package to install, if it is missing */
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
 * The stored values of a frame, one word per pixel, in the byte order of this machine.
 * @param path for messages
 * @throws UserError when the frame is broken or has another size than its header says, or a package is missing
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
 * Zero bytes per pixel that are appended to an image, as many as any code has: without them, CharLS takes half a minute
 * to find the end of a truncated one.
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
    const { bitsPerSample, isSigned } = decoder.getFrameInfo();
    // The package makes negative ones 0.
    if (isSigned && bitsPerSample <= 8) throw new Error(`signed pixels of ${bitsPerSample} bits`);
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

/** Size of a compressed image, from its own header. */
interface Stated {
  readonly columns: number;
  readonly rows: number;
  readonly channels: number;
}

/** Size of a JPEG, JPEG lossless or JPEG-LS image, from its frame header (SOF). */
function sizeOfJpeg(bytes: Buffer): Stated | undefined {
  for (let at = 2; at + 10 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    // SOF0 to SOF15 are C0 to CF, without DHT (C4), JPG (C8) and DAC (CC). F7 is JPEG-LS.
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

/** Size of a JPEG 2000 image, from its SIZ marker segment; the codestream may be in a JP2 file. */
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
