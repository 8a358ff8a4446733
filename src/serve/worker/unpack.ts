/** Zip archives of strangers. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { UserError } from '../../errors.js';
import { makeFolder } from '../../files.js';

/** More than any series has. */
const MOST_FILES = 5000;

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

/**
 * Unpacks the files of a zip archive into a new folder. They are numbered: the names in an archive lead nowhere, and may be
 * those of patients.
 * @param onFile is called before each file, and may throw to end the work
 * @throws UserError for a damaged or encrypted archive, names that point elsewhere, too many files, or too many bytes: what an
 *   archive says of its sizes is checked before anything is unpacked, and that it is true while it is
 */
export async function unpackFiles(
  path: string,
  folder: string,
  maxBytes: number,
  onFile: () => void,
): Promise<void> {
  makeFolder(folder);
  let archive: ZipFile | undefined;
  try {
    archive = await openPromise(path, { lazyEntries: true, autoClose: false });
    const files = await filesOf(archive, maxBytes);
    for (const [i, entry] of files.entries()) {
      onFile();
      const to = createWriteStream(join(folder, String(i + 1)), { flags: 'wx' });
      await pipeline(await archive.openReadStreamPromise(entry), to);
    }
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
