import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Axis } from '../../src/report/axes.js';
import { histogram, lineChart, scatter } from '../../src/report/charts.js';
import { heldRates, smooth, thin } from '../../src/report/curves.js';
import { embeddingChart, embeddingFigure } from '../../src/report/embedding-chart.js';

const STEP: Axis = { label: 'Step', scale: 'linear' };
const LOSS: Axis = { label: 'Loss', scale: 'log' };

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
const numbersOf = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((m) => Number(m[1]));

/** Labels of the ticks along x, or up y. */
const labelsOf = (text: string, axis: 'across' | 'up') =>
  [...text.match(new RegExp(`class="tick ${axis}">(.*?)</g>`, 's'))![1]!.matchAll(/>([^<]+)<\/text>/g)].map(
    ([, label]) => label!,
  );

describe('labels of axes', () => {
  const Y: Axis = { label: 'y', scale: 'linear' };
  const labels = (points: [number, number][], y: Axis = Y) => {
    const text = lineChart({ title: 'A', x: STEP, y, series: [{ name: 'a', look: 'first', points }] }).text;
    return [labelsOf(text, 'across'), labelsOf(text, 'up')] as const;
  };

  it.each<[low: number, high: number, expected: string[]]>([
    [0.9991, 0.9999, ['0.999', '0.9992', '0.9994', '0.9996', '0.9998', '1']],
    [0, 1, ['0', '0.2', '0.4', '0.6', '0.8', '1']],
    [10_000, 11_000, ['10K', '10.2K', '10.4K', '10.6K', '10.8K', '11K']],
    [0, 20_000, ['0', '5,000', '10K', '15K', '20K']],
    [0, 8e-5, ['0', '2e−5', '4e−5', '6e−5', '8e−5']],
  ])('from %d to %d', (low, high, expected) => {
    expect(
      labels([
        [low, 1],
        [high, 2],
      ])[0],
    ).toEqual(expected);
  });

  it('of shares have the digits that they need', () => {
    expect(
      labels(
        [
          [0, 0],
          [1, 0.018],
        ],
        { ...Y, unit: '%' },
      )[1],
    ).toEqual(['0 %', '0.5 %', '1 %', '1.5 %', '2 %']);
    expect(
      labels(
        [
          [0, 0],
          [1, 0.7],
        ],
        { ...Y, unit: '%' },
      )[1]?.at(-1),
    ).toBe('70 %');
  });

  it('always differ', () => {
    const values = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(values, fc.double({ min: 1e-7, max: 1, noNaN: true }), (low, width) => {
        const high = low + Math.max(1e-6, Math.abs(low)) * width;
        for (const axis of labels([
          [low, low],
          [high, high],
        ]))
          expect(new Set(axis).size).toBe(axis.length);
      }),
    );
  });
});

describe('lineChart', () => {
  const chart = (points: [number, number][], y: Axis = LOSS) =>
    lineChart({ title: 'A', x: STEP, y, series: [{ name: 'validation', look: 'first', points }] }).text;

  it('draws a line and a dot for each point, within the drawing', () => {
    const text = chart([
      [0, 1],
      [100, 0.1],
      [200, 0.01],
    ]);
    expect(count(text, /<path class="mark first"/g)).toBe(1);
    const xs = numbersOf(text, /<circle[^>]* cx="([^"]+)"/g);
    const ys = numbersOf(text, /<circle[^>]* cy="([^"]+)"/g);
    expect(xs).toHaveLength(3);
    // Equal factors are equal distances on a logarithmic axis, and smaller values lie lower.
    expect(ys[1]! - ys[0]!).toBeCloseTo(ys[2]! - ys[1]!, 0);
    expect(ys[1]!).toBeGreaterThan(ys[0]!);
    for (const v of [...xs, ...ys]) expect(v > 0 && v < 380).toBe(true);
  });

  it('leaves out what cannot be drawn: zero on a logarithmic axis, NaN, infinity', () => {
    expect(
      count(
        chart([
          [0, 0],
          [1, Number.NaN],
          [2, 5],
          [Number.POSITIVE_INFINITY, 1],
          [3, 6],
        ]),
        /<circle/g,
      ),
    ).toBe(2);
    expect(chart([[0, 0]])).toContain('Nothing recorded yet');
    expect(chart([])).not.toContain('<svg');
  });

  it.each([[LOSS], [STEP]])('draws a single point and a constant on any axis', (axis) => {
    for (const points of [
      [[5, 0.001]],
      [
        [0, 0.001],
        [9, 0.001],
      ],
    ] as [number, number][][]) {
      const text = chart(points, axis);
      expect(text).not.toMatch(/NaN|Infinity|undefined/);
      expect(count(text, /<text x/g)).toBeGreaterThan(2);
    }
  });

  it('draws many points as a line without dots', () => {
    const many = Array.from({ length: 1000 }, (_, i): [number, number] => [i, 1 / (i + 1)]);
    expect(count(chart(many), /<circle/g)).toBe(0);
  });

  it('names several series and references in a legend, and a single one not', () => {
    const series = [
      {
        name: 'training',
        look: 'second',
        points: [
          [0, 1],
          [1, 2],
        ],
      },
      {
        name: 'validation',
        look: 'first',
        points: [
          [0, 2],
          [1, 3],
        ],
      },
    ] as const;
    const text = lineChart({
      title: 'A',
      x: STEP,
      y: LOSS,
      series,
      references: [{ name: 'mean', y: 9 }],
    }).text;
    expect(count(text, /<li>/g)).toBe(3);
    expect(count(text, /class="mark reference"/g)).toBe(2);
    expect(chart([[0, 1]])).not.toContain('<li>');
  });

  it.each([
    [1e-7, 3],
    [0.021, 0.098],
    [0.0009, 0.0011],
    [1, 5e6],
  ])('has from 1 to 6 labels on a logarithmic axis from %d to %d', (low, high) => {
    const text = chart([
      [0, low],
      [1, high],
    ]);
    const labels = text.split('<g class="tick up">')[1]!.split('</g>')[0]!;
    expect(count(labels, /<text/g)).toBeGreaterThanOrEqual(1);
    expect(count(labels, /<text/g)).toBeLessThanOrEqual(6);
  });
});

describe('histogram', () => {
  const chart = (...groups: number[][]) =>
    histogram({
      title: 'H',
      x: { label: 'Cosine', scale: 'linear' },
      groups: groups.map((values, i) => ({
        name: `group ${i}`,
        look: 'first',
        values: Float64Array.from(values),
      })),
      bins: 10,
    }).text;

  it('draws one outline for each group', () => {
    expect(count(chart([0, 0.5, 1], [0.2, 0.3]), /<path class="mark filled/g)).toBe(2);
  });

  it('draws equal values, and says so when there are none', () => {
    expect(chart([1, 1], [1])).not.toMatch(/NaN|Infinity/);
    expect(chart([], [])).toContain('Nothing recorded yet');
  });
});

it('scatter draws a dot for each point and names the first and the last beside them', () => {
  const points = [0.1, 0.05, 0.02].map((x, i) => ({ at: [x, 8 - i] as const, name: `step ${i}` }));
  const text = scatter({ title: 'S', x: LOSS, y: STEP, points }).text;
  expect(count(text, /<circle/g)).toBe(3);
  expect([...text.matchAll(/class="name[^>]*>([^<]+)/g)].map((m) => m[1])).toEqual(['step 0', 'step 2']);
});

describe('curves', () => {
  it('smooth starts at the first value, keeps constants and follows slowly', () => {
    expect(
      smooth(
        [
          [0, 4],
          [1, 4],
          [2, 4],
        ],
        10,
      ).map(([, y]) => y),
    ).toEqual([4, 4, 4].map((y) => expect.closeTo(y, 12)));
    const step = smooth(
      Array.from({ length: 100 }, (_, i) => [i, i < 50 ? 1 : 0] as const),
      10,
    );
    expect(step[49]![1]).toBeCloseTo(1, 10);
    expect(step[59]![1]).toBeCloseTo(0.9 ** 10, 2);
    expect(smooth([], 5)).toEqual([]);
  });

  it('held rates are those of the steps, all reductions among them, however long the warm-up', () => {
    const rateAt = (step: number) => (step < 2000 ? step / 2e6 : 1e-3 * 0.5 ** Math.floor((step - 1) / 3000));
    const rates = Array.from({ length: 12_000 }, (_, i) => ({ step: i + 1, learningRate: rateAt(i + 1) }));
    const held = heldRates(rates, 100);
    expect(held[0]).toEqual([1, rateAt(1)]);
    expect(held.slice(-4)).toEqual([3000, 6000, 9000, 12_000].map((step) => [step, rateAt(step)]));
    expect(held.length).toBeLessThan(110);
    for (const [step, rate] of held) expect(rate).toBe(rateAt(step));
    expect(heldRates([], 100)).toEqual([]);
  });

  it('thin keeps the extremes and the ends', () => {
    const points = Array.from(
      { length: 10_000 },
      (_, i) => [i, i === 1234 ? -5 : i === 7777 ? 5 : 0] as const,
    );
    const kept = thin(points, 100);
    expect(kept.length).toBeLessThanOrEqual(101);
    expect(kept).toContainEqual([1234, -5]);
    expect(kept).toContainEqual([7777, 5]);
    expect(kept[0]![0]).toBe(0);
    expect(kept.at(-1)).toEqual([9999, 0]);
    expect(kept.every(([x], i) => i === 0 || x >= kept[i - 1]![0])).toBe(true);
    expect(thin(points.slice(0, 5), 100)).toHaveLength(5);
  });
});

it('a map in a page has the colours of the page, and one in a file has its own', () => {
  const points = [0, 1].map((x) => ({ x, y: x, whole: 0, scale: x === 0 ? 0.5 : 1 }));
  const [page, file] = [embeddingFigure('A', points).text, embeddingChart('A', points)];
  expect(page).toMatch(/<rect [^>]*fill="var\(--panel\)"/);
  expect(page).toContain('stroke="var(--ink)"');
  expect(page).not.toContain('#fff');
  expect(file).toMatch(/<rect [^>]*fill="#fff"/);
  expect(file).not.toContain('var(');
});
