/** Zip archives of strangers. */
import { createWriteStream } from 'node:fs';
import { extname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { headerAmong } from '../../data/scan/headed.js';
import { UserError } from '../../errors.js';
import { makeFolder } from '../../files.js';

/** More than any series has. */
const MOST_FILES = 5000;
/** As any file system takes them. */
const MOST_NAME_BYTES = 255;

const refused = (what: string, got: string, expected: string) =>
  new UserError('input', { what, where: 'the upload', got, expected });

/** The files of an archive. @throws UserError for too many, or too many bytes, by what the archive says of them */
async function filesOf(archive: ZipFile, maxBytes: number): Promise<Entry[]> {
  if (archive.entryCount > MOST_FILES)
    throw refused(
      'there are too many files in the archive',
      `${archive.entryCount}`,
      `at most ${MOST_FILES}`,
    );
  const files: Entry[] = [];
  let bytes = 0;
  for await (const entry of archive.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue;
    files.push(entry);
    bytes += entry.uncompressedSize;
    if (bytes > maxBytes)
      throw refused('the archive unpacks to too many bytes', `over ${maxBytes}`, `at most ${maxBytes}`);
  }
  return files;
}

/** Whether a file may be called so: as its header names it, in the folder of the header. */
const isPlain = (name: string) => !/^\.+$|\p{Cc}/u.test(name) && Buffer.byteLength(name) <= MOST_NAME_BYTES;

/**
 * Names for the files of an archive. They are numbers: the names in an archive lead nowhere, and may be those of patients. Only beside the
 * one header of a scan, files are called as in the archive, without folders: the header finds its data by that name.
 * @returns `header` is the new name of the header, null without one; files without a name belong to no header
 */
export function unpackedNames(paths: readonly string[]): {
  readonly names: readonly (string | null)[];
  readonly header: string | null;
} {
  const given = paths.map((path) => posix.basename(path));
  const headed = headerAmong(given);
  if (headed === null) return { names: given.map((_, i) => String(i + 1)), header: null };
  const header = `scan${extname(headed).toLowerCase()}`;
  const own = (name: string) =>
    name === headed ? header : header === 'scan.hdr' && /\.img$/i.test(name) ? 'scan.img' : name;
  const named = given.map(own);
  return {
    names: named.map((name, i) => (isPlain(name) && named.indexOf(name) === i ? name : null)),
    header,
  };
}

/**
 * Unpacks the files of a zip archive into a new folder, as {@link unpackedNames} calls them.
 * @param onFile is called before each file, and may throw to end the work
 * @returns the scan: a header, or the folder
 * @throws UserError for a damaged or encrypted archive, names that point elsewhere, too many files, or too many bytes: what an
 *   archive says of its sizes is checked before anything is unpacked, and that it is true while it is
 */
export async function unpackFiles(
  path: string,
  folder: string,
  maxBytes: number,
  onFile: () => void,
): Promise<string> {
  makeFolder(folder);
  let archive: ZipFile | undefined;
  try {
    archive = await openPromise(path, { lazyEntries: true, autoClose: false });
    const files = await filesOf(archive, maxBytes);
    const { names, header } = unpackedNames(files.map(({ fileName }) => fileName));
    for (const [i, entry] of files.entries()) {
      const name = names[i];
      if (!name) continue;
      onFile();
      const to = createWriteStream(join(folder, name), { flags: 'wx' });
      await pipeline(await archive.openReadStreamPromise(entry), to);
    }
    return header === null ? folder : join(folder, header);
  } catch (error) {
    // What is wrong may name a file, and that a patient.
    if (isBroken(error))
      throw new UserError('input', {
        ...{ what: 'this zip archive cannot be unpacked', where: 'the upload', cause: error },
      });
    throw error;
  } finally {
    archive?.close();
  }
}

/** Whether an error says that an archive is damaged: it is none of ours, and none of the system's. */
const isBroken = (error: unknown) =>
  error instanceof Error && error.constructor === Error && !('syscall' in error);
