/** A small encoder of JPEG, laid out by hand after T.81 and apart from the code under test. */

/** Bits, with the zeros behind 0xff that JPEG wants. */
export class Bits {
  readonly bytes: number[] = [];
  #bits = '';

  put(value: number, count: number): void {
    this.#bits += count === 0 ? '' : value.toString(2).padStart(count, '0').slice(-count);
    while (this.#bits.length >= 8) this.#byte(this.#bits.slice(0, 8));
  }

  /** A symbol of a table in which the code of each symbol is the symbol itself, then the bits of its difference. */
  difference(run: number, value: number): void {
    const length = value === 0 ? 0 : Math.floor(Math.log2(Math.abs(value))) + 1;
    this.put((run << 4) | length, 8);
    if (length < 16) this.put(value < 0 ? value + (1 << length) - 1 : value, length);
  }

  end(): void {
    if (this.#bits.length > 0) this.#byte(this.#bits.padEnd(8, '1'));
  }

  mark(marker: number): void {
    this.end();
    this.bytes.push(0xff, marker);
  }

  #byte(text: string): void {
    this.bytes.push(Number.parseInt(text, 2));
    if (this.bytes.at(-1) === 0xff) this.bytes.push(0);
    this.#bits = this.#bits.slice(8);
  }
}

export const segment = (marker: number, body: number[]) => [
  0xff,
  marker,
  (body.length + 2) >> 8,
  (body.length + 2) & 0xff,
  ...body,
];
export const word = (value: number) => [value >> 8, value & 0xff];
const codes = (id: number) => [
  id,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  256 - 1,
  ...new Array<number>(8).fill(0),
  ...Array(255).keys(),
];

interface Shape {
  readonly frame: number;
  readonly precision: number;
  readonly columns: number;
  readonly rows: number;
  /** Three bytes at the end of the scan's header. */
  readonly scan: readonly number[];
  readonly restarts?: number;
  readonly quantisation?: readonly number[];
}

export function jpeg(
  { frame, precision, columns, rows, scan, restarts = 0, quantisation = [] }: Shape,
  bits: Bits,
): Buffer {
  bits.end();
  return Buffer.from([
    ...[0xff, 0xd8],
    ...segment(0xfe, [1, 2, 3]),
    ...(quantisation.length > 0 ? segment(0xdb, [0, ...quantisation]) : []),
    ...segment(0xc4, [...codes(0), ...codes(0x10)]),
    ...(restarts > 0 ? segment(0xdd, word(restarts)) : []),
    ...[0xff, ...segment(frame, [precision, ...word(rows), ...word(columns), 1, 1, 0x11, 0])],
    ...segment(0xda, [1, 1, 0, ...scan]),
    ...bits.bytes,
    ...[0xff, 0xd9],
  ]);
}

const predictions: Record<number, (a: number, b: number, c: number) => number> = {
  1: (a) => a,
  2: (_, b) => b,
  3: (_, __, c) => c,
  4: (a, b, c) => a + b - c,
  5: (a, b, c) => a + Math.floor((b - c) / 2),
  6: (a, b, c) => b + Math.floor((a - c) / 2),
  7: (a, b) => Math.floor((a + b) / 2),
};

/** Codes samples without loss; rows between two restarts. */
export function lossless(
  samples: Uint16Array,
  columns: number,
  predictor: number,
  precision: number,
  transform = 0,
  restartRows = 0,
): Buffer {
  const rows = samples.length / columns;
  const bits = new Bits();
  const at = (x: number, y: number) => samples[y * columns + x]! >> transform;
  for (let y = 0; y < rows; y++) {
    if (restartRows > 0 && y > 0 && y % restartRows === 0) bits.mark(0xd0 + ((y / restartRows - 1) % 8));
    const first = restartRows > 0 ? y % restartRows === 0 : y === 0;
    for (let x = 0; x < columns; x++) {
      const start = x === 0 ? 1 << (precision - transform - 1) : at(x - 1, y);
      const inside = () => predictions[predictor]!(at(x - 1, y), at(x, y - 1), at(x - 1, y - 1));
      const prediction = first ? start : x === 0 ? at(0, y - 1) : inside();
      const difference = (at(x, y) - prediction) & 0xffff;
      bits.difference(0, difference > 0x8000 ? difference - 0x10000 : difference);
    }
  }
  const scan = [predictor, 0, transform];
  return jpeg({ frame: 0xc3, precision, columns, rows, scan, restarts: restartRows * columns }, bits);
}
