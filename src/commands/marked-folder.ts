/** The folder of a command that writes files of its own choice: a mark in it tells it from folders of something else. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { changedOptions } from '../changed-options.js';
import { fromSystemError, UserError } from '../errors.js';
import { isFolder, makeFolder, writeFileAtomic } from '../files.js';
import { version } from '../version.js';

type Options = Readonly<Record<string, unknown>>;

interface Mark {
  /** A name in `p2w`. */
  readonly command: string;
  /** What decides the files; a folder that was made with other options is refused. */
  readonly options?: Options;
}

const markSchema = z.record(z.string(), z.unknown());

/** Which options a marked folder was not made with, in words. */
function differences(text: string, options: Options): string[] {
  let earlier: Options;
  try {
    earlier = markSchema.parse(JSON.parse(text));
  } catch {
    return ['a damaged mark'];
  }
  return changedOptions(earlier, options);
}

/**
 * Makes a folder and marks it as a command's own, before it writes anything else there.
 * @throws UserError for a folder of something else, and for one that the command has made with other options
 */
export function markFolder(out: string, { command, options = {} }: Mark): void {
  const mark = join(out, `${command}.json`);
  const fix = 'choose another folder for --out, or delete this one';
  try {
    // Half-written files begin with a dot.
    const isFilled = isFolder(out) && readdirSync(out).some((name) => !name.startsWith('.'));
    if (isFilled && !existsSync(mark))
      throw new UserError('usage', {
        what: `this folder was not made by \`p2w ${command}\`, or by one of an earlier version: what is in it could be lost`,
        where: out,
        expected: `a new or empty folder, or that of an earlier ${command}`,
        fix,
      });
    const other = isFilled ? differences(readFileSync(mark, 'utf8'), options) : [];
    if (other.length > 0)
      throw new UserError('usage', {
        what: `this folder was made by \`p2w ${command}\` with other options: results of both would be mixed`,
        where: out,
        got: other.join(', '),
        expected: `a new or empty folder, or that of an earlier ${command} with the same options`,
        fix,
      });
    makeFolder(out);
    writeFileAtomic(mark, `${JSON.stringify({ createdBy: `parts2whole ${version}`, ...options })}\n`);
  } catch (error) {
    throw fromSystemError(error, out);
  }
}
