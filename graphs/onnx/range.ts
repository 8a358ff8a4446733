/** `count` whole numbers from `from` on. */
export const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => i + from);
