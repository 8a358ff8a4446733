/** Places spread evenly over 0 … available−1, the first included: as many as wanted, or all. */
export const spreadEvenly = (available: number, wanted: number): number[] => {
  const count = Math.min(wanted, available);
  return Array.from({ length: count }, (_, i) => Math.floor((i * available) / count));
};

/** Numbers spread evenly over 0 … count−1, first and last included. */
export const spreadOver = (count: number, wanted: number): number[] =>
  count <= wanted
    ? Array.from({ length: count }, (_, i) => i)
    : Array.from({ length: wanted }, (_, i) => Math.round((i * (count - 1)) / (wanted - 1)));
