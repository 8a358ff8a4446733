import { type ErrorFacts, UserError } from '../../errors.js';

/** Deflate cannot do better than 1032 : 1 (zlib's technical notes), so a larger claim is a lie. */
export const MAX_DEFLATE_RATIO = 1032;

/** The error for a scan that cannot be used; `got` may be text from the file itself. */
export function unreadable(
  path: string,
  what: string,
  facts: Partial<Omit<ErrorFacts, 'what' | 'where'>> = {},
): UserError {
  return new UserError('input', {
    what,
    where: path,
    ...facts,
    got: facts.got?.slice(0, 200),
  });
}

/** The error for voxels that end too soon. */
export function tooShort(path: string, got: string, bytes: number): UserError {
  return unreadable(path, 'the file is too short for the scan that its header describes', {
    got,
    expected: `${bytes} bytes of voxels`,
    fix: 'copy or download the file again',
  });
}
