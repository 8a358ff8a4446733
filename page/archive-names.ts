import { headerAmong } from '../src/data/scan/headed.js';

/**
 * What the files of a scan are called where they are sent: numbers, as names may be those of patients. Only a header finds its data
 * files by their names.
 */
export const archiveNames = (names: readonly string[]): readonly string[] =>
  headerAmong(names) === null ? names.map((_, i) => String(i + 1)) : names;
