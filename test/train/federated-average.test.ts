import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { averageSites, type Site } from '../../src/train/federated-average.js';

const site = (weight: number, tensors: Readonly<Record<string, readonly number[]>>): Site => ({
  weight,
  tensors: new Map(Object.entries(tensors).map(([name, values]) => [name, Float32Array.from(values)])),
});

/** Mean and variance of numbers. */
function moments(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, variance: values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length };
}

describe('an average of sites', () => {
  test('counts each as much as its weight', () => {
    const averages = averageSites([
      site(1, { 'conv.weight': [1, 10] }),
      site(3, { 'conv.weight': [5, -10] }),
    ]);
    expect(averages).toEqual(new Map([['conv.weight', Float32Array.of(4, -5)]]));
  });

  test('has the statistics of all sites’ values together', () => {
    const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 4 }), (sites) => {
        const averages = averageSites(
          sites.map((own) => {
            const { mean, variance } = moments(own);
            return site(own.length, { 'norm1.running_mean': [mean], 'norm1.running_var': [variance] });
          }),
        );
        const all = moments(sites.flat());
        const tolerance = 1e-5 * (1 + Math.max(...sites.flat().map(Math.abs)));
        expect(Math.abs(averages.get('norm1.running_mean')![0]! - all.mean)).toBeLessThan(tolerance);
        expect(Math.abs(averages.get('norm1.running_var')![0]! - all.variance)).toBeLessThan(100 * tolerance);
      }),
    );
  });

  test('of equal sites is each of them, to the bit', () => {
    const own = { 'conv.weight': [0.1, 1 / 3, -7e-20], 'a.running_mean': [2.7], 'a.running_var': [0.3] };
    expect(averageSites([site(1, own), site(2, own), site(4, own)])).toEqual(site(1, own).tensors);
  });
});
