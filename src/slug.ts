/** A name as part of a file's: letters and digits of any script stay. */
export const slug = (name: string): string =>
  name.replaceAll('⁄', '-').replaceAll(/[^\p{L}\p{M}\p{N}_.-]+/gu, '_');
