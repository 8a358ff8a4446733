/** With three significant digits, a power of ten below 0.0001 and thousands separated: 0.0203, 4.5e−5, 28,100. */
export function shortNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  if (size !== 0 && size < 0.0001) return rounded.toExponential().replace('-', '−').replace('e-', 'e−');
  return rounded.toLocaleString('en', { maximumFractionDigits: 20 }).replace('-', '−');
}

/** An integer with its thousands separated. */
export const wholeNumber = (value: number): string => Math.round(value).toLocaleString('en');

/** A fraction as per cent: 0.424 is 42 %. */
export const percent = (fraction: number): string =>
  Number.isFinite(fraction) ? `${Math.round(100 * fraction)} %` : '–';

/** A probability as journals print it. */
export const probability = (p: number): string => (p < 0.001 ? 'p < 0.001' : `p = ${p.toPrecision(2)}`);

/** A format with the same number of decimals for a whole column: three significant digits for its smallest value. */
export function columnFormat(values: readonly number[]): (value: number) => string {
  const smallest = Math.min(...values.filter((value) => value > 0));
  const decimals = Math.max(0, Math.min(8, 2 - Math.floor(Math.log10(smallest))));
  return (value) => (Number.isFinite(value) ? value.toFixed(decimals) : '–');
}
