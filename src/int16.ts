/** The nearest value that int16 holds: rounded, and the least or greatest one for what lies beyond. Typed arrays would wrap around. */
export const toInt16 = (value: number): number => Math.min(Math.max(Math.round(value), -32768), 32767);

/** Values as int16, each by {@link toInt16}. */
export const asInt16 = (values: Int16Array | Float32Array): Int16Array =>
  values instanceof Int16Array ? values : Int16Array.from(values, toInt16);
