import { expect, test } from 'vitest';
import { checkCurve } from './checks.js';

test('50 steps in other forms keep to the CPU’s curve; with a rate 10 % higher they do not', async () => {
  const kept = await checkCurve('cpu', ['forms=plain']);
  for (const { what, error, tolerance } of kept) expect(error, what).toBeLessThan(tolerance);
  const left = await checkCurve('cpu', ['learningRate=0.0055']);
  expect(left.some(({ error, tolerance }) => error > tolerance)).toBe(true);
});
