import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import type { FormTimes } from '../../graphs/forms/choice.js';
import { makeFolder, writeFileAtomic } from '../files.js';

/** Times of forms that were measured on this machine; nothing that happens to the file stops a run. */
export interface FormCache {
  read(): FormTimes;
  /** Adds to what is there by now. */
  add(times: FormTimes): void;
}

const fileSchema = z.object({
  machine: z.record(z.string(), z.unknown()),
  times: z.record(z.string(), z.record(z.string(), z.number().positive())),
});

/** Counts changes of the forms' names: what was measured under other names is not read. */
const NAMES = 2;

/** Where programs of this user keep what they can make again. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'parts2whole');
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'parts2whole', 'Cache');
  const folder = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
  return join(homedir(), folder, 'parts2whole');
}

/**
 * @param machine all that a time depends on, beside the form; every such machine has a file of its own
 * @param log one line where the file cannot be used
 */
export function openFormCache(
  machine: Readonly<Record<string, string | number>>,
  log: (line: string) => void,
  folder = cacheFolder(),
): FormCache {
  const known = { names: NAMES, ...machine };
  const identity = JSON.stringify(known);
  const name = createHash('sha256').update(identity).digest('hex').slice(0, 12);
  const path = join(folder, `forms-${name}.json`);
  const read = (): FormTimes => {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      return {};
    }
    try {
      const file = fileSchema.parse(JSON.parse(text));
      if (JSON.stringify(file.machine) === identity) return file.times;
    } catch {} // said below
    log(`${path} has no measurements for this machine: measuring again`);
    return {};
  };
  return {
    read,
    add(times) {
      try {
        makeFolder(folder);
        writeFileAtomic(
          path,
          `${JSON.stringify({ machine: known, times: { ...read(), ...times } }, null, 1)}\n`,
        );
      } catch (error) {
        const [why] = (error as Error).message.split('\n');
        log(`the measurements cannot be saved for the next run: ${why}`);
      }
    },
  };
}
