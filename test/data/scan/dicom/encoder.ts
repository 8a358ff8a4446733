/** The encoders of the optional packages that decode JPEG-LS, JPEG 2000 and HTJ2K. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

interface Encoder {
  getDecodedBuffer(info: object): Uint8Array;
  getEncodedBuffer(): Uint8Array;
  encode(): void;
  setNearLossless?(near: number): void;
  setQuality?(reversible: boolean, quality: number): void;
}

export const CODECS = [
  { syntax: '80', name: 'JPEG-LS', module: '@cornerstonejs/codec-charls/wasmjs', encoder: 'JpegLSEncoder' },
  { syntax: '90', name: 'JPEG 2000', module: '@cornerstonejs/codec-openjpeg/wasmjs', encoder: 'J2KEncoder' },
  { syntax: '201', name: 'HTJ2K', module: '@cornerstonejs/codec-openjph', encoder: 'HTJ2KEncoder' },
] as const;
type Codec = (typeof CODECS)[number];

/** The packages are optional. */
export function isInstalled({ module }: Codec): boolean {
  try {
    return require.resolve(module) !== '';
  } catch {
    return false;
  }
}

async function encoderOf({ module, encoder }: Codec): Promise<Encoder> {
  const started = await require(module)({ print: () => {}, printErr: () => {} });
  return new started[encoder]();
}

/** An image without loss. */
export async function encodeWith(
  codec: Codec,
  pixels: Int16Array | Uint16Array | Int8Array,
  columns: number,
): Promise<Uint8Array> {
  const encoder = await encoderOf(codec);
  const info = {
    width: columns,
    height: pixels.length / columns,
    bitsPerSample: 8 * pixels.BYTES_PER_ELEMENT,
    componentCount: 1,
    isSigned: !(pixels instanceof Uint16Array),
    isUsingColorTransform: false,
  };
  encoder.getDecodedBuffer(info).set(new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength));
  encoder.setNearLossless?.(0);
  encoder.setQuality?.(true, 0);
  encoder.encode();
  return Uint8Array.from(encoder.getEncodedBuffer());
}
