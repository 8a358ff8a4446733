/** The one place where text reaches a terminal. */

/** Control characters but newline and tab, and those that change the direction of writing or begin a line. */
const UNSEEN = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/**
 * Text as a terminal may show it: what could play tricks on it, or on its reader, is spelt out as `\u001b`. Names and
 * fields of files may hold anything. JSON stays the same JSON.
 */
export const visible = (text: string): string =>
  text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** What takes two columns: letters of East Asia, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18dff}\u{1aff0}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
/** What is drawn onto the character before, without a column of its own; but the mark that makes that one an emoji widens it. */
const NARROW = /^(?!\ufe0f)[\p{Mn}\p{Me}\p{Cf}]$/u;

const columnsOf = (character: string): number => (WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1);

/** As much of a line as fits into so many columns of a terminal. */
export function cutToColumns(line: string, columns: number): string {
  let [end, width] = [0, 0];
  for (const character of line) {
    width += columnsOf(character);
    if (width > columns) break;
    end += character.length;
  }
  return line.slice(0, end);
}

/** A line on stdout: a result. */
export const say = (text: string): void => void process.stdout.write(`${visible(text)}\n`);

/** A line on stderr: progress, and errors. */
export const tell = (text: string): void => void process.stderr.write(`${visible(text)}\n`);
