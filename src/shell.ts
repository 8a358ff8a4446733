/** Commands that the user may copy. */

/** Signs that no shell takes for more than themselves. */
const PLAIN = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** A path, or another word, as a shell takes it for one. */
export const shellWord = (word: string): string =>
  PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
