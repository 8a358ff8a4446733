/** Zip archives of strangers. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import { UserError } from '../../errors.js';
import { makeFolder } from '../../files.js';

/** More than any series has. */
const MOST_FILES = 5000;

const refused = (what: string, got: string, expected: string) =>
  new UserError('input', { what, where: 'the upload', got, expected });

/**
 * Unpacks the files of a zip archive into a new folder. They are numbered: the names in an archive lead nowhere, and may be
 * those of patients.
 * @throws UserError for a damaged or encrypted archive, names that point elsewhere, too many files, or too many bytes; what an
 *   archive says of its sizes is checked before anything is unpacked, and while it is
 */
export async function unpackFiles(path: string, folder: string, maxBytes: number): Promise<void> {
  makeFolder(folder);
  try {
    const archive = await openPromise(path, { lazyEntries: true, autoClose: false });
    try {
      let [files, bytes] = [0, 0];
      for await (const entry of archive.eachEntry()) {
        if (entry.fileName.endsWith('/')) continue;
        bytes += entry.uncompressedSize;
        if (++files > MOST_FILES)
          throw refused(
            'there are too many files in the archive',
            `over ${MOST_FILES}`,
            `at most ${MOST_FILES}`,
          );
        if (bytes > maxBytes)
          throw refused('the archive unpacks to too many bytes', `over ${maxBytes}`, `at most ${maxBytes}`);
        const to = createWriteStream(join(folder, String(files)), { flags: 'wx' });
        await pipeline(await archive.openReadStreamPromise(entry), to);
      }
    } finally {
      archive.close();
    }
  } catch (error) {
    if (error instanceof UserError || (error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    // What is wrong may name a file, and that a patient.
    throw new UserError('input', {
      what: 'this zip archive cannot be unpacked',
      where: 'the upload',
      cause: error,
    });
  }
}
