/** Arrays in NumPy's `.npz`: a zip archive with a `.npy` file for each. */
import { crc32 } from 'node:zlib';
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

/** Of a zip archive: the signatures of its directory's entries and of its end, and where things lie in them. */
const ENTRY = { signature: 0x02014b50, crc: 16, nameBytes: 28, extraBytes: 30, commentBytes: 32, name: 46 };
const END = { signature: 0x06054b50, bytes: 22, entries: 10, directory: 16 };

/** The checksums that an archive has of its files, which fflate does not compare. Empty where the directory is not plain to read. */
function checksumsOf(archive: Buffer): Map<string, number> {
  const found = new Map<string, number>();
  let end = archive.length - END.bytes;
  while (end >= 0 && archive.readUInt32LE(end) !== END.signature) end--;
  if (end < 0) return found;
  let at = archive.readUInt32LE(end + END.directory);
  for (let i = archive.readUInt16LE(end + END.entries); i > 0; i--) {
    if (at + ENTRY.name > end || archive.readUInt32LE(at) !== ENTRY.signature) break;
    const lengths = [ENTRY.nameBytes, ENTRY.extraBytes, ENTRY.commentBytes].map((place) =>
      archive.readUInt16LE(at + place),
    );
    const name = archive.toString('utf8', at + ENTRY.name, at + ENTRY.name + lengths[0]!);
    found.set(name, archive.readUInt32LE(at + ENTRY.crc));
    at += ENTRY.name + lengths.reduce((sum, length) => sum + length, 0);
  }
  return found;
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
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(archive, { filter });
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw broken(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const checksums = checksumsOf(archive);
  for (const [name, bytes] of Object.entries(files)) {
    const expected = checksums.get(name);
    if (expected !== undefined && crc32(bytes) !== expected)
      throw broken(`${name}: its checksum is another one`);
  }
  return files;
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
