/** What kind of thing went wrong; `p2w` maps each to an exit code, callers may switch on it. */
export type ErrorKind =
  | 'usage' // a flag, an argument or an option of a function
  | 'config' // a configuration file or `--set`
  | 'input' // a scan, model or other file that was handed in
  | 'data' // a tile store
  | 'run' // a run folder or one of its checkpoints
  | 'runtime' // ONNX Runtime: a device, a model it refused
  | 'disk' // reading or writing failed: full, read-only, gone
  | 'training'; // the training itself went wrong: NaN, collapse

/** One of several things of which one was expected. */
export interface Choice {
  readonly name: string;
  /** What tells it apart from the others. */
  readonly what: string;
}

export interface ErrorFacts {
  /** What is wrong, as a sentence without a full stop. */
  readonly what: string;
  /** File, key or flag it was found in. */
  readonly where?: string;
  readonly got?: string;
  readonly expected?: string;
  /** What `got` lists, for programs that let their users choose. */
  readonly choices?: readonly Choice[];
  /** What to do about it. */
  readonly fix?: string;
  readonly cause?: unknown;
}

/**
 * An error that is meant to be read by a user: what, where, got, expected, how to fix it.
 * Anything else that reaches the command line is a defect of this program.
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  constructor(
    readonly kind: ErrorKind,
    readonly facts: ErrorFacts,
  ) {
    const lines = [facts.where ? `${facts.where}: ${facts.what}` : facts.what];
    if (facts.got !== undefined) lines.push(`  got:      ${facts.got || 'nothing'}`);
    if (facts.expected !== undefined) lines.push(`  expected: ${facts.expected}`);
    if (facts.fix !== undefined) lines.push(`  fix:      ${facts.fix}`);
    super(lines.join('\n'), facts.cause === undefined ? undefined : { cause: facts.cause });
  }
}

/** @throws UserError unless an option is an integer of at least `least`, and at most `most` */
export function checkInteger(where: string, value: number, least: number, most?: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= (most ?? value)) return;
  throw new UserError('usage', {
    what: `this must be an integer ${most === undefined ? `of at least ${least}` : `from ${least} to ${most}`}`,
    where,
    got: String(value),
  });
}

/** Options that would be without effect are refused: whoever gave them expected one. @throws UserError */
export function refuseIdle(use: string, options: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (given.length > 0)
    throw new UserError('usage', {
      what: `${given.join(' and ')} cannot be used with ${use}`,
    });
}

/** A list for a message: the first five, and how many more there are. */
export function abridged(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

const SYSTEM_MESSAGES: Readonly<Record<string, { what: string; fix?: string }>> = {
  ENOSPC: { what: 'the disk is full', fix: 'free some space and run the same command again' },
  EDQUOT: { what: 'the disk quota is exceeded', fix: 'free some space and run the same command again' },
  EROFS: { what: 'the file system is read-only', fix: 'choose a writable folder' },
  EACCES: { what: 'permission denied', fix: 'check the owner and the permissions of the path' },
  EPERM: { what: 'not permitted', fix: 'check the owner and the permissions of the path' },
  ENOENT: { what: 'no such file or folder' },
  EEXIST: { what: 'a file or folder with this name already exists', fix: 'choose another path' },
  ENOTDIR: { what: 'part of the path is a file, not a folder' },
  EISDIR: { what: 'this is a folder, not a file' },
  ELOOP: { what: 'the symbolic links form a loop' },
  ENAMETOOLONG: { what: 'the name is too long for this file system', fix: 'shorten it' },
  EMFILE: { what: 'too many open files', fix: 'raise `ulimit -n`' },
  EIO: { what: 'the disk reported an input/output error' },
};

/** What Node.js tells of a system call that failed. */
interface SystemError {
  readonly code?: string;
  readonly errno?: number;
  readonly syscall?: string;
}

/** What to say of it; undefined for an error that no system call has caused. */
function systemMessage({
  code = '',
  errno,
  syscall,
}: SystemError): { what: string; fix?: string } | undefined {
  const known = SYSTEM_MESSAGES[code];
  if (known || syscall === undefined || typeof errno !== 'number') return known;
  return {
    what: `the system call ${syscall} failed: ${code}`,
    fix: 'check the disk or network drive, and run the same command again',
  };
}

/** Whether a system error, or what was made of it, says that a disk or a quota is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = ((error instanceof UserError ? error.facts.cause : error) ?? {}) as SystemError;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Turns a Node.js system error (ENOSPC, ENOENT, …) into a {@link UserError} that names the path; passes others on. */
export function fromSystemError(error: unknown, path: string): Error {
  if (error instanceof UserError) return error;
  const known = systemMessage((error ?? {}) as SystemError);
  if (!known) return error instanceof Error ? error : new Error(String(error));
  return new UserError('disk', { ...known, where: path, cause: error });
}
