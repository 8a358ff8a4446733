import { expect } from 'vitest';
import type { Comparison } from './golden.js';

/** Every comparison is within its tolerance, and there are some. */
export function expectAll(comparisons: readonly Comparison[]): void {
  expect(comparisons.length).toBeGreaterThan(1);
  for (const { what, error, tolerance } of comparisons) expect(error, what).toBeLessThan(tolerance);
}
