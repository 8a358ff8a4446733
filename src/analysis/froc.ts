import type { XYZ } from '../data/scan/volume.js';

/** A finding of a detector. */
export interface Detection {
  readonly scan: string;
  /** World position in mm. */
  readonly position: XYZ;
  readonly score: number;
}

/** A lesion that a detector should find, or one of a kind that does not count. */
export interface Lesion {
  readonly scan: string;
  /** World position in mm. */
  readonly position: XYZ;
  /** Below 0 where it is not known: 10 mm are then taken, as LUNA16 does. */
  readonly diameterMm: number;
}

/** Detections compared with lesions. */
export interface DetectionMarks {
  /** Lesions of each scan. */
  readonly lesions: Uint32Array;
  /** The best score of each lesion that was hit, and every false positive, by falling score. */
  readonly marks: readonly { readonly scan: number; readonly score: number; readonly hit: boolean }[];
  /** Detections that hit only excluded findings: neither hits nor false positives. */
  readonly ignored: number;
  /** Hits of a lesion beyond its best. */
  readonly repeated: number;
  /** Detections beyond those of a scan that count. */
  readonly dropped: number;
}

/** LUNA16 keeps no more of a scan: of more, those that are more suspicious than the next one. */
const MOST_PER_SCAN = 100;

function mostSuspicious(candidates: readonly Detection[]): readonly Detection[] {
  if (candidates.length <= MOST_PER_SCAN) return candidates;
  const threshold = candidates.map(({ score }) => score).sort((a, b) => b - a)[MOST_PER_SCAN]!;
  return candidates.filter(({ score }) => score > threshold);
}

/** False positives a scan at which LUNA16 reads the sensitivity. */
export const FROC_RATES = [0.125, 0.25, 0.5, 1, 2, 4, 8] as const;

const UNKNOWN_DIAMETER_MM = 10;

/**
 * Compares detections with lesions by the rules of LUNA16's evaluation: of each scan the 100 most suspicious detections count; a
 * detection hits every lesion whose centre is nearer than its radius; of the hits of one lesion the best counts, the others are neither hits nor false
 * positives; what hits only an excluded finding is left out.
 * @param scans all scans of the test set, also those without lesions and detections; what lies in others is left out
 * @example
 * const position: XYZ = [10, -20, 30];
 * const lesions = [{ scan: 'a', position, diameterMm: 8 }];
 * const marks = matchDetections(['a', 'b'], [{ scan: 'a', position, score: 0.9 }], lesions, []);
 */
export function matchDetections(
  scans: readonly string[],
  detections: readonly Detection[],
  lesions: readonly Lesion[],
  excluded: readonly Lesion[],
): DetectionMarks {
  const [found, sought, irrelevant] = [byScan(detections), byScan(lesions), byScan(excluded)];
  const marks: { scan: number; score: number; hit: boolean }[] = [];
  let [ignored, repeated, dropped] = [0, 0, 0];
  for (const [scan, id] of scans.entries()) {
    const all = found.get(id) ?? [];
    const candidates = mostSuspicious(all);
    dropped += all.length - candidates.length;
    const used = new Set<Detection>();
    for (const lesion of sought.get(id) ?? []) {
      const hits = candidates.filter((candidate) => isInside(candidate, lesion));
      for (const hit of hits) used.add(hit);
      if (hits.length === 0) continue;
      marks.push({
        scan,
        score: hits.reduce((best, { score }) => Math.max(best, score), -Infinity),
        hit: true,
      });
      repeated += hits.length - 1;
    }
    for (const candidate of candidates) {
      if (used.has(candidate)) continue;
      if (irrelevant.get(id)?.some((finding) => isInside(candidate, finding))) ignored++;
      else marks.push({ scan, score: candidate.score, hit: false });
    }
  }
  const counts = Uint32Array.from(scans, (id) => sought.get(id)?.length ?? 0);
  return { lesions: counts, marks: marks.sort((a, b) => b.score - a.score), ignored, repeated, dropped };
}

function byScan<T extends { readonly scan: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.scan);
    if (group) group.push(item);
    else groups.set(item.scan, [item]);
  }
  return groups;
}

function isInside({ position: a }: Detection, { position: b, diameterMm }: Lesion): boolean {
  const radius = (diameterMm < 0 ? UNKNOWN_DIAMETER_MM : diameterMm) / 2;
  return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2 < radius ** 2;
}

/**
 * Sensitivity at given numbers of false positives a scan: the FROC curve, straight between its points, and level
 * after its last.
 * @param rates rising
 * @param draws how often each scan counts, as a bootstrap draws them; once each without it
 * @returns one value a rate, 0 … 1; NaN without lesions
 * @example
 * const sensitivities = sensitivityAt(marks, FROC_RATES);
 * const cpm = mean(sensitivities);
 */
export function sensitivityAt(
  { lesions, marks }: DetectionMarks,
  rates: readonly number[],
  draws?: Uint32Array,
): number[] {
  const times = (scan: number) => (draws ? draws[scan]! : 1);
  let [scans, all] = [0, 0];
  for (let scan = 0; scan < lesions.length; scan++) {
    scans += times(scan);
    all += times(scan) * lesions[scan]!;
  }
  const result: number[] = [];
  // The last point of the curve, in counts, and the point that the marks of the next score lead to.
  let [falsePositives, hits, nextFalse, nextHits] = [0, 0, 0, 0];
  for (let i = 0; i < marks.length; i++) {
    const { scan, score, hit } = marks[i]!;
    if (hit) nextHits += times(scan);
    else nextFalse += times(scan);
    if (marks[i + 1]?.score === score) continue;
    while (result.length < rates.length && rates[result.length]! * scans < nextFalse) {
      const share = (rates[result.length]! * scans - falsePositives) / (nextFalse - falsePositives);
      result.push((hits + share * (nextHits - hits)) / all);
    }
    [falsePositives, hits] = [nextFalse, nextHits];
  }
  while (result.length < rates.length) result.push(hits / all);
  return result;
}
