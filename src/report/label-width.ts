/** Pixels of a letter of 14 pixels, on average. */
const LETTER = 7.8;

/** Pixels that a label in a drawing takes, as far as can be told without its font. */
export const labelWidth = (text: string): number => LETTER * text.length;
