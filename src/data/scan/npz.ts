/** Arrays in NumPy's `.npz`: a zip archive with a `.npy` file for each. */
import { type UnzipFileInfo, unzipSync } from 'fflate';
import { UserError } from '../../errors.js';
import type { ElementArray, ElementType } from './elements.js';
import { readBytes, regularFileSize } from './file.js';
import { parseNpy } from './npy.js';
import { MAX_DEFLATE_RATIO, unreadable } from './unreadable.js';

export interface NamedArray {
  readonly dtype: ElementType;
  /** Slowest axis first. */
  readonly shape: readonly number[];
  readonly data: ElementArray;
}

/** The files of an archive, by name; memory is taken only for what they can really hold. */
function unzip(path: string, archive: Buffer): Record<string, Uint8Array> {
  const broken = (got: string, cause?: unknown) =>
    unreadable(path, 'this is not a complete .npz archive', {
      got,
      fix: 'copy or write the file again',
      cause,
    });
  let stored = 0;
  const filter = ({ name, size, originalSize, compression }: UnzipFileInfo) => {
    stored += size;
    if (stored > archive.length || originalSize > size * (compression === 0 ? 1 : MAX_DEFLATE_RATIO))
      throw broken(`${name}: ${originalSize} bytes, stored in ${size}, in a file of ${archive.length}`);
    return true;
  };
  try {
    return unzipSync(archive, { filter });
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw broken(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Every array of an archive. @throws UserError when it is missing, broken, lies about itself, or holds anything else */
export async function readNpz(path: string): Promise<Map<string, NamedArray>> {
  const files = unzip(path, await readBytes(path, 0, await regularFileSize(path)));
  const arrays = Object.entries(files).map(([file, bytes]): [string, NamedArray] => [
    file.replace(/\.npy$/, ''),
    parseNpy(`${path}, ${file}`, bytes),
  ]);
  return new Map(arrays);
}
