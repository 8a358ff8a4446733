import { type ErrorFacts, UserError } from '../../errors.js';

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
    got: facts.got && printable(facts.got.slice(0, 200)),
  });
}

/** Text from a file without control characters, which could play tricks on a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
