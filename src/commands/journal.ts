/** What a command has finished, scan by scan: after a kill, it goes on behind the last of them. */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { changedOptions } from '../changed-options.js';
import type { SourceFile } from '../data/store/writer.js';
import { fromSystemError, UserError } from '../errors.js';
import { truncateFile, writeAll, writeLinesAtomic } from '../files.js';
import { isShardOf, type Shard, shardEnding } from '../shard.js';

/** A file with a line for the settings, and one for each finished scan. */
export interface Journal<Entry> {
  /** What is known of a scan, if its files are still the same. */
  find(scan: string, files: readonly SourceFile[]): Entry | undefined;
  /** The place of the scan that is known by a name; undefined where none is, or an older version has not kept it. */
  placeOf(scan: string): string | undefined;
  /** All scans that are known, in the order in which they were first finished. */
  entries(): IterableIterator<readonly [scan: string, entry: Entry]>;
  /** Keeps what came of a scan. @throws UserError of kind `disk` */
  add(line: FinishedLine<Entry>): void;
  /** Makes one journal of those of all shards. @throws UserError of kind `disk` */
  join(): void;
}

/** What is kept of a finished scan. */
interface FinishedLine<Entry> {
  /** Its name. */
  readonly scan: string;
  /** Where it lies, see `scanPlace`. */
  readonly place: string;
  readonly files: readonly SourceFile[];
  readonly entry: Entry;
}

/** Older versions kept no place. */
type Line<Entry> = Omit<FinishedLine<Entry>, 'place'> & { readonly place?: string };

const BYTES_AT_ONCE = 1 << 24;

/**
 * All whole lines, one by one: together they may be longer than a string can be.
 * @param own cuts off what a kill left of a last one; of another process, it may be on its way
 */
function* wholeLines(path: string, own: boolean): Generator<string> {
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  let rest = Buffer.alloc(0);
  let end = 0;
  try {
    const chunk = Buffer.alloc(BYTES_AT_ONCE);
    for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
      const text = Buffer.concat([rest, chunk.subarray(0, bytes)]);
      let start = 0;
      for (let newline = text.indexOf('\n'); newline >= 0; newline = text.indexOf('\n', start)) {
        yield text.toString('utf8', start, newline);
        start = newline + 1;
      }
      rest = text.subarray(start);
      end += start;
    }
  } finally {
    closeSync(file);
  }
  if (own && rest.length > 0) truncateFile(path, end);
}

/** Removes a journal in which no scan is finished. */
export function removeIfIdle(path: string): void {
  const [, finished] = wholeLines(path, false);
  if (finished === undefined) rmSync(path, { force: true });
}

/** Journals of shards beside one of all. */
function shardsOf(path: string): string[] {
  const folder = dirname(path);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => isShardOf(basename(path), name)).map((name) => join(folder, name));
}

function append(path: string, line: object): void {
  try {
    const file = openSync(path, 'a');
    try {
      writeAll(file, Buffer.from(`${JSON.stringify(line)}\n`));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

/** @throws UserError of kind `config` when the results so far were made with other settings */
function checkSettings(
  path: string,
  before: Record<string, unknown>,
  settings: Record<string, unknown>,
): void {
  const names = [...new Set([...Object.keys(before), ...Object.keys(settings)])];
  const changed = changedOptions(before, settings, names);
  if (changed.length === 0) return;
  throw new UserError('config', {
    what: 'there are results here that were made with another model or other options',
    where: path,
    got: changed.join(', '),
    fix: 'choose another --out, or delete these results',
  });
}

/**
 * Opens a journal, or begins one. What other shards have finished is known, too.
 * @param path of the journal of all scans; a shard has one of its own beside it
 * @param settings all that results depend on
 * @throws UserError when one was begun with others, cannot be read, or is damaged
 */
export function openJournal<Entry>(
  path: string,
  settings: Record<string, unknown>,
  shard?: Shard,
): Journal<Entry> {
  const own = shard ? `${path}${shardEnding(shard)}` : path;
  const known = new Map<string, Line<Entry>>();
  const read = (from: string) => {
    try {
      let isBegun = false;
      for (const text of wholeLines(from, from === own)) {
        const content = JSON.parse(text);
        if (isBegun) known.set((content as Line<Entry>).scan, content);
        else checkSettings(from, content, settings);
        isBegun = true;
      }
      return isBegun;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw fromSystemError(error, from);
      throw new UserError('data', {
        what: 'the record of finished scans is damaged',
        where: from,
        got: error.message,
        fix: 'choose another --out, or delete this folder: its scans are then computed again',
      });
    }
  };
  for (const other of new Set([path, ...shardsOf(path)])) if (other !== own) read(other);
  if (!read(own)) append(own, settings);
  return {
    join() {
      const shards = shardsOf(path);
      if (shards.length === 0) return;
      writeLinesAtomic(
        path,
        [settings, ...known.values()].map((line) => JSON.stringify(line)),
      );
      for (const file of shards) rmSync(file, { force: true });
    },
    find: (scan, files) => {
      const line = known.get(scan);
      return line && isDeepStrictEqual(line.files, files) ? line.entry : undefined;
    },
    placeOf: (scan) => known.get(scan)?.place,
    *entries() {
      for (const { scan, entry } of known.values()) yield [scan, entry];
    },
    add: (line) => {
      append(own, line);
      known.set(line.scan, line);
    },
  };
}
