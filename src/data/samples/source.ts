/** What an adapter makes of a data set of some layout: what can be read, one scan at a time. */
import { resolve } from 'node:path';
import { abridged, UserError } from '../../errors.js';
import type { XYZ } from '../scan/volume.js';
import { type StoreFailure, sha256 } from '../store/arrays.js';
import { sourceFiles } from '../store/sources.js';
import type { SampleFormat, SampleSplit } from './manifest.js';
import type { SampleContent } from './store.js';

/** A sample as an adapter gives it. */
export interface RawSample extends SampleContent {
  readonly id: string;
  readonly patient: string;
  readonly spacing: XYZ;
  /** Number of its class, from 0; null in segmentation. */
  readonly label: number | null;
}

/** What decides the samples of a source, beside the store's format. */
export interface SampleOrigin {
  /** All that is read. */
  readonly files: readonly string[];
  /** All that a table or an option says of them: labels, places, spacing. Plain data. */
  readonly facts: unknown;
}

/** A scan, or a file, with its samples. */
export interface SampleSource {
  /** Becomes the name of a file, `/` makes folders. */
  readonly id: string;
  /** Where the data set says so; else it is drawn by patients. */
  readonly split: SampleSplit | null;
  readonly origin: SampleOrigin;
  /** @throws UserError that says what is wrong with this scan */
  read(): Promise<readonly RawSample[]>;
}

export interface LabelledData {
  readonly format: SampleFormat;
  readonly sources: readonly SampleSource[];
  /** What is missing or cannot be used, known before anything is read. */
  readonly problems: readonly StoreFailure[];
  /** What may not be as expected, though nothing is wrong. */
  readonly notes?: readonly string[];
}

/**
 * What tells the samples of a source from those of any other: a digest of the format, of what was said of the source, and
 * of its files by path, size and time.
 * @throws UserError when a file is not there
 */
export async function originHash(format: SampleFormat, { files, facts }: SampleOrigin): Promise<string> {
  const found = [];
  for (const path of files) found.push([resolve(path), await sourceFiles(path)]);
  return sha256(JSON.stringify([format, facts, found]));
}

/** @throws UserError for two sources of one name, and for a name that is no path below a folder */
export function checkSourceIds(sources: readonly SampleSource[], where: string): void {
  const ids = sources.map(({ id }) => id);
  const impossible = ids.filter((id) => /(^|\/)\.{0,2}(\/|$)|\p{Cc}/u.test(id));
  if (impossible.length > 0)
    throw new UserError('input', {
      what: 'this id cannot be used as a file name in the store',
      where,
      got: abridged(impossible.map((id) => JSON.stringify(id))),
      expected: 'no control characters, and no . or .. between slashes',
    });
  const seen = new Set<string>();
  const repeated = ids.filter((id) => seen.size === seen.add(id).size);
  if (repeated.length > 0)
    throw new UserError('input', {
      what: 'two samples have the same id',
      where,
      got: abridged([...new Set(repeated)]),
      fix: 'give each sample a unique id, in the column `id` of the table',
    });
}
