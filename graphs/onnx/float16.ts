const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

/** A number as the bits of the nearest half-precision float; ties go to the even one (IEEE 754). */
function toHalf(number: number): number {
  value[0] = number;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const magnitude = bits[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 and more round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x38000000) >>> 13);
  }
  // Below 2^-14 the step between halves is 2^-24; adding 0.5 lets the hardware round to it.
  bits[0] = magnitude;
  value[0] = value[0]! + 0.5;
  return sign | (bits[0]! - 0x3f000000);
}

/** Numbers as half-precision floats, in their raw 16 bits. */
export const toFloat16 = (numbers: Float32Array): Uint16Array => Uint16Array.from(numbers, toHalf);

/** The value of 16 bits as a half-precision float: sign, 5 of exponent, 10 of fraction (IEEE 754). */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A number as the bits of the nearest bfloat16, the upper half of a float32; ties go to the even one. */
function toBrain(number: number): number {
  value[0] = number;
  if (Number.isNaN(number)) return 0x7fc0;
  return (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16;
}

/** Numbers as bfloat16, in their raw 16 bits. */
export const toBfloat16 = (numbers: Float32Array): Uint16Array => Uint16Array.from(numbers, toBrain);

/** The value of 16 bits as a bfloat16. */
export function brainToNumber(raw: number): number {
  bits[0] = raw << 16;
  return value[0]!;
}
