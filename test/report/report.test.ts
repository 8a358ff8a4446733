import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { contrastiveBounds } from '../../src/analysis/contrastive.js';
import type { GreyImage, ReportData, Slices } from '../../src/report/data.js';
import { columnFormat, probability, shortNumber } from '../../src/report/numbers.js';
import { renderReport } from '../../src/report/report.js';

const image: GreyImage = { width: 4, height: 2, pixels: Uint8Array.from([0, 50, 100, 150, 200, 250, 7, 9]) };
const slices: Slices = [image, image, image];
const pairs = {
  positive: Float64Array.of(0.9, 0.8),
  negative: Float64Array.of(0.1, 0.4),
  auc: 1,
  dPrime: 3.5,
  overlap: 0,
};

const EMPTY: ReportData = {
  title: 'Empty',
  proxy: 'parts2whole',
  isContrastive: false,
  createdAt: '2026-03-01T10:20:30Z',
  headline: [],
  training: [],
  validation: [],
  learningRates: [],
  meanWholeMse: null,
  checkpoints: [],
  contrastiveBounds: null,
  correlation: null,
  cosine: null,
  samples: [],
  configuration: {},
  machine: {},
  timing: {},
};

const FULL: ReportData = {
  ...EMPTY,
  title: 'Demo',
  headline: [{ label: 'Validation MSE', value: '0.0203', note: 'from 0.106' }],
  training: Array.from({ length: 2000 }, (_, i) => ({ step: i, loss: 1 / (i + 10) })),
  validation: [0, 1000, 2000].map((step) => ({ step, mse: 0.1 / (1 + step / 250) })),
  learningRates: [1, 999, 1000, 2000].map((step) => ({ step, learningRate: step < 1000 ? 1e-3 : 1e-4 })),
  meanWholeMse: 0.0611,
  checkpoints: [0, 1000, 2000].map((step, i) => ({
    step,
    validationMse: [0.1, 0.02, 0.011][i]!,
    contrastiveLoss: [7.6, 7.2, 7.3][i]!,
    nearestNeighbour: [0.06, 0.3, 0.42][i]!,
    cosineAuc: [0.81, 0.84, 0.85][i]!,
  })),
  contrastiveBounds: contrastiveBounds({ negatives: 5000, temperature: 0.7 }),
  correlation: { r: 0.934, n: 3, p: 0.0002 },
  cosine: { before: pairs, after: pairs, beforeLabel: 'Before training', afterLabel: 'After 2,000 steps' },
  samples: [
    {
      name: 'whole 7',
      whole: slices,
      part: slices,
      reconstructions: [0, 2000].map((step) => ({ step, mse: 0.02, slices })),
    },
  ],
  configuration: { seed: 3, network: { base: 8, skips: false }, size: [32, 32, 16], resume: null },
  machine: { Processor: 'Some CPU' },
  timing: { 'A step': '0.5 s' },
};

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe('renderReport', () => {
  const page = renderReport(FULL);

  it('needs nothing but itself', () => {
    expect(page).not.toMatch(/https?:|\/\/[a-z]|<script|<link|@import|url\(/i);
    expect(page).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`);
    for (const [, source] of page.matchAll(/src="([^"]*)"/g))
      expect(source).toMatch(/^data:image\/png;base64,/);
  });

  it('carries every slice as a PNG with the same pixels and a description', () => {
    // One whole, one part and two answers, in three planes.
    expect(count(page, /<img /g)).toBe(12);
    expect(count(page, /<img [^>]*alt="(Axial|Coronal|Sagittal) slice of [^"]+, whole 7"/g)).toBe(12);
    const base64 = page.match(/base64,([^"]+)"/)![1]!;
    expect([...decode(Buffer.from(base64, 'base64')).data]).toEqual([...image.pixels]);
  });

  it('describes each chart and reads it in words', () => {
    expect(count(page, /<svg class="chart" role="img"[^>]*>\s*<title>[^<]+<\/title>/g)).toBe(8);
    expect(page).toContain('is 5.5 times smaller');
    expect(page).toContain('r = 0.93 over 3 checkpoints, p &lt; 0.001');
    expect(page).toContain('If all features were equal, it would be 8.52');
  });

  it('marks the best of each column of the checkpoints', () => {
    const best = [...page.matchAll(/<td><strong>([^<]+)/g)].map((m) => m[1]);
    expect(best.sort()).toEqual(['0.0110', '0.850', '42 %', '7.200']);
  });

  it('lists the configuration by dotted names', () => {
    const rows = [...page.matchAll(/<th scope="row">([^<]+)<\/th><td>([^<]+)<\/td>/g)].map(
      (m) => `${m[1]}=${m[2]}`,
    );
    for (const row of ['seed=3', 'network.base=8', 'network.skips=false', 'size=[32,32,16]', 'resume=null']) {
      expect(rows).toContain(row);
    }
  });

  it('says that it is for research, and that patents are pending', () => {
    expect(page).toContain('not a medical device');
    expect(page).toContain('patents are pending');
  });

  it('escapes everything that comes from outside', () => {
    const evil = `<img src=x onerror="a('b')">&`;
    const text = renderReport({
      ...FULL,
      title: evil,
      createdAt: evil,
      headline: [{ label: evil, value: evil, note: evil }],
      cosine: { ...FULL.cosine!, beforeLabel: evil, afterLabel: evil },
      samples: FULL.samples.map((sample) => ({ ...sample, name: evil })),
      configuration: { [evil]: evil, inner: { [evil]: [evil] } },
      machine: { [evil]: evil },
      timing: { [evil]: evil },
    });
    expect(text).not.toContain('<img src=x');
    expect(text).not.toContain('="a(');
    expect(text).toContain('&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;');
  });

  it('renders a run that has nothing yet', () => {
    const text = renderReport(EMPTY);
    expect(text).toContain('There has been no validation yet');
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
    expect(text).not.toContain('<svg class="chart"');
  });

  it('renders a run with one checkpoint whose scores are not numbers', () => {
    const broken = {
      step: 0,
      validationMse: Number.NaN,
      contrastiveLoss: Number.NaN,
      nearestNeighbour: Number.NaN,
      cosineAuc: Number.NaN,
    };
    const text = renderReport({ ...EMPTY, validation: FULL.validation.slice(0, 1), checkpoints: [broken] });
    expect(text).toContain('too few different checkpoints');
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('does not praise a network that is no better than the mean whole', () => {
    const text = renderReport({ ...FULL, meanWholeMse: 0.001 });
    expect(text).toContain('is not better than that yet');
  });

  it('stays small for long runs', () => {
    const training = Array.from({ length: 200_000 }, (_, i) => ({ step: i, loss: 1 / (i + 1) }));
    expect(renderReport({ ...EMPTY, training }).length).toBeLessThan(60_000);
  });
});

describe('numbers', () => {
  it.each([
    [0.020312, '0.0203'],
    [0.00045, '0.00045'],
    [4.5e-5, '4.5e−5'],
    [-1.5, '−1.5'],
    [28144, '28,100'],
    [0, '0'],
    [Number.NaN, '–'],
  ])('%d is written %s', (value, text) => {
    expect(shortNumber(value)).toBe(text);
  });

  it('a column has the decimals of its smallest value', () => {
    expect([0.106, 0.0203].map(columnFormat([0.106, 0.0203]))).toEqual(['0.1060', '0.0203']);
    expect(columnFormat([])(2)).toBe('2');
  });

  it('probabilities are written as journals do', () => {
    expect([0.0004, 0.0312].map(probability)).toEqual(['p < 0.001', 'p = 0.031']);
  });
});
