/** What a command has finished, scan by scan: after a kill, it goes on behind the last of them. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { SourceFile } from '../data/store/writer.js';
import { fromSystemError, UserError } from '../errors.js';
import { truncateFile } from '../files.js';

/** A file with a line for the settings, and one for each finished scan. */
export interface Journal<Entry> {
  /** What is known of a scan, if its files are still the same. */
  find(scan: string, files: readonly SourceFile[]): Entry | undefined;
  /** Keeps what came of a scan. @throws UserError of kind `disk` */
  add(scan: string, files: readonly SourceFile[], entry: Entry): void;
}

interface Line<Entry> {
  readonly scan: string;
  readonly files: readonly SourceFile[];
  readonly entry: Entry;
}

/** All whole lines; what a kill left of a last one is cut off. */
function wholeLines(path: string): string[] {
  const text = readFileSync(path);
  const end = text.lastIndexOf('\n') + 1;
  if (end < text.length) truncateFile(path, end);
  return text.toString('utf8', 0, end).split('\n').slice(0, -1);
}

function append(path: string, line: object): void {
  try {
    const file = openSync(path, 'a');
    try {
      writeSync(file, `${JSON.stringify(line)}\n`);
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
  const changed = names.filter((name) => !isDeepStrictEqual(before[name], settings[name]));
  if (changed.length === 0) return;
  const text = (value: unknown) => JSON.stringify(value) ?? 'none';
  throw new UserError('config', {
    what: 'there are results here that were made with another model or other options',
    where: path,
    got: changed.map((name) => `${name} ${text(settings[name])} instead of ${text(before[name])}`).join(', '),
    fix: 'choose another --out, or delete these results',
  });
}

/**
 * Opens a journal, or begins one.
 * @param settings all that results depend on
 * @throws UserError when it was begun with others, cannot be read, or is damaged
 */
export function openJournal<Entry>(path: string, settings: Record<string, unknown>): Journal<Entry> {
  const known = new Map<string, Line<Entry>>();
  try {
    const [first, ...lines] = existsSync(path) ? wholeLines(path) : [];
    if (first === undefined) append(path, settings);
    else {
      checkSettings(path, JSON.parse(first), settings);
      for (const text of lines) {
        const line: Line<Entry> = JSON.parse(text);
        known.set(line.scan, line);
      }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fromSystemError(error, path);
    throw new UserError('data', {
      what: 'the record of finished scans is damaged',
      where: path,
      got: error.message,
      fix: 'delete it: all scans are then computed again',
    });
  }
  return {
    find: (scan, files) => {
      const line = known.get(scan);
      return line && isDeepStrictEqual(line.files, files) ? line.entry : undefined;
    },
    add: (scan, files, entry) => {
      const line = { scan, files, entry };
      append(path, line);
      known.set(scan, line);
    },
  };
}
