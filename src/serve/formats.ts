/** Formats of answers by their media types, and the choice between them. */
import type { Output } from './jobs.js';

export const MEDIA_TYPES: Readonly<Record<Output, string>> = {
  json: 'application/json',
  npy: 'application/x-npy',
  nifti: 'application/x-nifti',
  png: 'image/png',
};

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** The media ranges of an Accept header, as RFC 9110 writes them. */
const rangesOf = (accept: string): Range[] =>
  accept.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    return { type, quality: quality ? Number(quality.slice(2)) : 1 };
  });

/** How much a client wants a type: what the most specific of its ranges says. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const [family] = type.split('/');
  for (const wanted of [type, `${family}/*`, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === wanted);
    if (range) return range.quality;
  }
  return 0;
}

/**
 * The format that a client accepts and likes best.
 * @param accept its Accept header; anything without one
 * @param outputs to choose from; the first of equals is taken
 * @returns null when it accepts none
 */
export function chooseOutput(accept: string | undefined, outputs: readonly Output[]): Output | null {
  const ranges = rangesOf(accept || '*/*');
  let [best, most]: [Output | null, number] = [null, 0];
  for (const output of outputs) {
    const quality = qualityOf(MEDIA_TYPES[output], ranges);
    if (quality > most) [best, most] = [output, quality];
  }
  return best;
}
