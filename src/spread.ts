/** Places spread evenly over 0 … available−1, the first included: as many as wanted, or all. */
export const spreadEvenly = (available: number, wanted: number): number[] => {
  const count = Math.min(wanted, available);
  return Array.from({ length: count }, (_, i) => Math.floor((i * available) / count));
};
