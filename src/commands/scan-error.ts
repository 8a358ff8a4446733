/** Why a scan of many could not be used. */
import { fromSystemError, UserError } from '../errors.js';

/** What typed arrays throw where there is no memory for them. */
const isOutOfMemory = (error: unknown) =>
  error instanceof RangeError && /allocation failed|invalid.*length/i.test(error.message);

/** @returns why a scan cannot be used  @throws what is a defect of ours */
export function scanError(error: unknown, path: string): UserError {
  const known = isOutOfMemory(error)
    ? new UserError('input', { what: 'the scan does not fit in memory', where: path, cause: error })
    : fromSystemError(error, path);
  if (known instanceof UserError) return known;
  throw known;
}

/** Why a scan cannot be used, as plain data. */
export interface Problem {
  readonly problem: string;
  /** The same in short, without paths. */
  readonly what: string;
}

/** {@link scanError} for a store. */
export function problemOf(error: unknown, path: string): Problem {
  const { message, facts } = scanError(error, path);
  return { problem: message, what: facts.what };
}

/** A message within a list of others: its facts behind each other, not below. */
export const onOneLine = (message: string): string => message.replaceAll(/\n +(\w+:) +/g, '; $1 ');

/** {@link scanError} in words. */
export const messageOf = (error: unknown, path: string): string => scanError(error, path).message;
