/** The one place where text reaches a terminal. */

/** Control characters but newline and tab, and those that change the direction of writing or begin a line. */
const UNSEEN = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/**
 * Text as a terminal may show it: what could play tricks on it, or on its reader, is spelt out as `\u001b`. Names and
 * fields of files may hold anything. JSON stays the same JSON.
 */
export const visible = (text: string): string =>
  text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A line on stdout: a result. */
export const say = (text: string): void => void process.stdout.write(`${visible(text)}\n`);

/** A line on stderr: progress, and errors. */
export const tell = (text: string): void => void process.stderr.write(`${visible(text)}\n`);
