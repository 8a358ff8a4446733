import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Detection,
  FROC_RATES,
  type Lesion,
  matchDetections,
  sensitivityAt,
} from '../../src/analysis/froc.js';
import { mean } from '../../src/analysis/statistics.js';
import { type GoldenFroc, type GoldenPlace, golden, goldenLuna16 } from './golden.js';

const detection = ([scan, x, y, z, score]: GoldenPlace): Detection => ({ scan, position: [x, y, z], score });
const lesion = ([scan, x, y, z, diameterMm]: GoldenPlace): Lesion => ({
  scan,
  position: [x, y, z],
  diameterMm,
});

function expectFroc(marks: ReturnType<typeof matchDetections>, expected: GoldenFroc): void {
  const found = sensitivityAt(marks, FROC_RATES);
  expected.sensitivity.forEach((value, i) => {
    expect(found[i]).toBeCloseTo(value, 12);
  });
  expect(marks.marks.filter(({ hit }) => hit)).toHaveLength(expected.detected);
  expect(marks.marks.filter(({ hit }) => !hit)).toHaveLength(expected.falsePositives);
}

describe('sensitivityAt', () => {
  it.each(golden.detections.map((set, i) => ({ ...set, i })))('agrees with LUNA16’s rules, set $i', (set) => {
    const { scans, detections, lesions, excluded } = set;
    expectFroc(
      matchDetections(scans, detections.map(detection), lesions.map(lesion), excluded.map(lesion)),
      set,
    );
  });

  it('counts the 100 most suspicious detections of a scan, as LUNA16 does', () => {
    const scans = Array.from({ length: 20 }, (_, i) => `s${i}`);
    const lesions = scans.map((scan) => lesion([scan, 0, 0, 0, 10]));
    const hits = scans.map((scan) => detection([scan, 0, 0, 0, 0.5]));
    // The first scan has false ones in plenty, more suspicious than its lesion.
    const others = Array.from({ length: 400 }, (_, i) => detection(['s0', 100, i, 0, 0.86 + i / 10_000]));
    const marks = matchDetections(scans, [...hits, ...others], lesions, []);
    expect(marks.dropped).toBe(301);
    expect(marks.marks.filter(({ hit }) => !hit)).toHaveLength(100);
    const values = sensitivityAt(marks, FROC_RATES);
    expect(values.at(-1)).toBeCloseTo(19 / 20, 12);
    expect(mean(values)).toBeCloseTo(0.1357, 4);
    // Of equal ones at the end none counts.
    const equal = Array.from({ length: 101 }, (_, i) => detection(['s1', 50, i, 0, 0.7]));
    expect(matchDetections(['s1'], equal, [], []).marks).toEqual([]);
  });

  it('is straight between the points of the curve, and level after the last', () => {
    const lesions = [lesion(['a', 0, 0, 0, 4]), lesion(['b', 0, 0, 0, 4]), lesion(['b', 50, 0, 0, 4])];
    const found = [
      detection(['a', 0, 0, 1, 0.9]), // a hit: 1/3 at no false positive
      detection(['a', 30, 0, 0, 0.5]), // equal scores are one point: 2/3 at half a false positive a scan
      detection(['b', 0, 1, 0, 0.5]),
    ];
    const marks = matchDetections(['a', 'b'], found, lesions, []);
    const values = sensitivityAt(marks, [0, 0.25, 0.5, 1, 8]);
    [1 / 3, 1 / 2, 2 / 3, 2 / 3, 2 / 3].forEach((value, i) => {
      expect(values[i]).toBeCloseTo(value, 14);
    });
  });

  it('is not defined without lesions, and 0 without detections', () => {
    expect(sensitivityAt(matchDetections(['a'], [detection(['a', 0, 0, 0, 1])], [], []), [1])[0]).toBeNaN();
    expect(sensitivityAt(matchDetections(['a'], [], [lesion(['a', 0, 0, 0, 9])], []), [1])).toEqual([0]);
  });

  it('counts a scan that was drawn twice twice, and one that was not never', () => {
    const lesions = [lesion(['a', 0, 0, 0, 4]), lesion(['b', 0, 0, 0, 4])];
    const found = [detection(['a', 0, 0, 0, 0.9]), detection(['b', 30, 0, 0, 0.8])];
    const marks = matchDetections(['a', 'b'], found, lesions, []);
    expect(sensitivityAt(marks, [1], Uint32Array.of(2, 0))).toEqual([1]);
    expect(sensitivityAt(marks, [1], Uint32Array.of(0, 2))).toEqual([0]);
    expect(sensitivityAt(marks, [1], Uint32Array.of(1, 1))).toEqual([0.5]);
  });
});

describe('matchDetections', () => {
  const match = (found: Detection[], lesions: Lesion[], excluded: Lesion[] = []) =>
    matchDetections(['a'], found, lesions, excluded);

  it('hits a lesion nearer than its radius, not at it', () => {
    const hits = (x: number) =>
      match([detection(['a', x, 0, 0, 1])], [lesion(['a', 0, 0, 0, 10])]).marks[0]!.hit;
    expect(hits(4.999)).toBe(true);
    expect(hits(5)).toBe(false);
  });

  it('takes 10 mm for a diameter that is not known', () => {
    const ignored = (x: number) =>
      match([detection(['a', x, 0, 0, 1])], [], [lesion(['a', 0, 0, 0, -1])]).ignored;
    expect([ignored(4.9), ignored(5.1)]).toEqual([1, 0]);
  });

  it('counts the best hit of a lesion, not the others, and a hit of two lesions for both', () => {
    const found = [detection(['a', 1, 0, 0, 0.4]), detection(['a', 2, 0, 0, 0.7])];
    const { marks, repeated } = match(found, [lesion(['a', 0, 0, 0, 10]), lesion(['a', 3, 0, 0, 3])]);
    expect(marks).toEqual([
      { scan: 0, score: 0.7, hit: true },
      { scan: 0, score: 0.7, hit: true },
    ]);
    expect(repeated).toBe(1);
  });

  it('leaves out what hits only an excluded finding', () => {
    const found = [detection(['a', 0, 0, 0, 0.9]), detection(['a', 20, 0, 0, 0.8])];
    const both = match(
      found,
      [lesion(['a', 0, 0, 0, 5])],
      [lesion(['a', 0, 0, 0, 5]), lesion(['a', 20, 0, 0, 5])],
    );
    expect(both.marks).toEqual([{ scan: 0, score: 0.9, hit: true }]);
    expect(both.ignored).toBe(1);
  });
});

const DATA = join(import.meta.dirname, '../../../shared/data/luna16_csv');

describe.skipIf(!existsSync(DATA))('a real submission of 55,677 detections', () => {
  const table = (name: string, separator: string) =>
    readFileSync(join(DATA, name), 'utf8')
      .trim()
      .split(/\r?\n/)
      .map((line) => line.split(separator))
      .slice(1);
  const place = ([scan, ...numbers]: string[]): GoldenPlace => [scan!, ...numbers.map(Number)] as GoldenPlace;

  it('gets the FROC that its authors published, and that of an independent evaluation', () => {
    const scans = readFileSync(join(DATA, 'deeplung_seriesuids.csv'), 'utf8').trim().split(/\s+/);
    const byNumber = new Map(scans.map((scan, i) => [String(goldenLuna16.numbers[i]), scan]));
    const found = table('deeplung_dpn26bs32.csv', '\t').map(([number, ...rest]) =>
      detection(place([byNumber.get(number!)!, ...rest])),
    );
    const [lesions, excluded] = ['annotations.csv', 'deeplung_annotations_excluded.csv'].map((name) =>
      table(name, ',').map((row) => lesion(place(row))),
    );
    const marks = matchDetections(scans, found, lesions!, excluded!);
    // The independent evaluation keeps all detections of a scan, not the 100 most suspicious: 2,829 more that are false positives.
    const falsePositives = goldenLuna16.falsePositives - 2829;
    expectFroc(marks, { ...goldenLuna16, falsePositives });
    const rounded = sensitivityAt(marks, FROC_RATES).map((value) => Number(value.toFixed(3)));
    expect(rounded).toEqual([0.692, 0.769, 0.824, 0.865, 0.893, 0.917, 0.933]);
    expect(mean(rounded)).toBeCloseTo(0.842, 3);
  });
});
