import type { Lung, Patient } from './patient.js';

const AIR = -1000;
const FAT = -100;
const MARROW_SHARE = 0.35;

/** 1 inside, 0 outside, a ramp of `softness` mm between: what a scanner makes of an edge. */
export const inside = (signedDistance: number, softness: number): number => {
  return Math.min(Math.max(0.5 - signedDistance / softness, 0), 1);
};
const mix = (under: number, over: number, share: number) => under + (over - under) * share;

/** About how far (x, y) lies outside an ellipse, mm; negative inside. */
function outsideEllipse(x: number, y: number, rx: number, ry: number): number {
  const q = Math.sqrt((x / rx) ** 2 + (y / ry) ** 2);
  return (q - 1) * Math.min(rx, ry);
}

/** About how far a point lies outside a lung, mm, without regard to heart and mediastinum. */
export function outsideLung(lung: Lung, x: number, y: number, z: number): number {
  const below = (lung.apex - z) / lung.shoulder;
  // Towards the apex the lung closes like a dome.
  const narrow = below >= 1 ? 1 : below <= 0 ? 0.02 : Math.sqrt(1 - (1 - below) ** 2) + 0.02;
  const side = outsideEllipse(x - lung.x, y - lung.y, lung.rx * narrow, lung.ry * narrow);
  const fall = ((x - lung.x) / lung.rx) ** 2 + ((y - lung.y) / lung.ry) ** 2;
  const diaphragm = lung.base + lung.dome * Math.max(0, 1 - 0.8 * fall);
  return Math.max(side, diaphragm - z, z - lung.apex);
}

/** How far a point lies outside heart, great vessels and the tissue between the lungs. */
function outsideMediastinum(p: Patient, x: number, y: number, z: number): number {
  const { heart, depth } = p;
  const [rx, ry, rz] = heart.r;
  const q = Math.sqrt(((x - heart.x) / rx) ** 2 + ((y - heart.y) / ry) ** 2 + ((z - heart.z) / rz) ** 2);
  const waist = Math.abs(x) - p.mediastinum * (0.75 + 0.25 * Math.cos((Math.PI * y) / depth));
  return Math.min((q - 1) * ry, waist);
}

/** Distance of a point from the aorta's middle line: up behind the sternum, over the arch, down beside the spine. */
function fromAorta({ aorta, depth }: Patient, x: number, y: number, z: number): number {
  const front = -0.12 * depth;
  const reach = (aorta.y - front) / 2;
  if (z < aorta.archTop - reach) {
    const down = Math.hypot(x - aorta.x, y - aorta.y);
    const up = z > -20 ? Math.hypot(x + 4, y - front) : Number.POSITIVE_INFINITY;
    return Math.min(down, up);
  }
  const radial = Math.hypot(y - (front + reach), z - (aorta.archTop - reach)) - reach;
  const across = x - (-4 + ((y - front) / (2 * reach)) * (aorta.x + 4));
  return Math.hypot(radial, across);
}

/** HU of spine, ribs and sternum at a point; null outside of them. */
function boneAt(
  p: Patient,
  x: number,
  y: number,
  z: number,
  softness: number,
): { hu: number; share: number } | null {
  const phase = z / p.vertebra + p.vertebraPhase;
  const within = phase - Math.floor(phase);
  const disc = within < 0.2;
  const body = Math.hypot(x / 1.15, y - p.spineY) - 16;
  if (body < softness)
    return { hu: disc ? 85 : body > -4 ? p.boneHu : p.boneHu * MARROW_SHARE, share: inside(body, softness) };
  const behind = y - p.spineY;
  if (behind > 0 && behind < 55) {
    const arch = Math.abs(Math.hypot(x, behind - 24) - 11) - 3.5;
    const spinous = within > 0.35 && within < 0.85 ? Math.max(Math.abs(x) - 3.5, 30 - behind) : 99;
    const transverse =
      within > 0.4 && within < 0.75
        ? Math.max(Math.abs(behind - 18) - 4, Math.abs(x) - 30, 12 - Math.abs(x))
        : 99;
    const process = Math.min(arch, spinous, transverse);
    if (process < softness) return { hu: p.boneHu * 0.9, share: inside(process, softness) };
  }
  const [a, b] = [p.width - p.fat - p.muscle - 2, p.depth - p.fat - p.muscle - 2];
  const fromCage = outsideEllipse(x, y, a, b);
  if (Math.abs(fromCage) < 8 && z < 150) {
    // From the back (0) to the front (1); ribs fall on the way.
    const forward = (1 - y / b) / 2;
    const height = z + p.ribFall * forward;
    const rib = height / p.ribPitch + p.ribPhase;
    const offset = (rib - Math.floor(rib) - 0.5) * p.ribPitch;
    const distance = Math.hypot(fromCage / 0.65, offset) - 6;
    if (distance < softness && forward < 0.93)
      return { hu: distance > -2.5 ? p.boneHu : p.boneHu * MARROW_SHARE, share: inside(distance, softness) };
  }
  const sternum = Math.max(Math.abs(x) - 16, Math.abs(y + b - 3) - 6, Math.abs(z - 15) - 75);
  return sternum < softness ? { hu: p.boneHu * 0.6, share: inside(sternum, softness) } : null;
}

/** HU of lung tissue at a point that lies in a lung: lesions, fissure, fluid, and more blood towards the back. */
function lungTissue(p: Patient, lung: Lung, fluid: number, x: number, y: number, z: number): number {
  let hu = lung.hu + 35 * ((y - lung.y) / lung.ry);
  for (const { center, radius, hu: lesion } of p.lesions) {
    const distance = Math.hypot(x - center[0], y - center[1], z - center[2]) - radius;
    if (distance < radius * 0.4) hu = mix(hu, lesion, inside(distance, radius * 0.8));
  }
  const fissure =
    Math.abs(z - (lung.fissure + lung.fissureSlope * (y - lung.y))) / Math.hypot(1, lung.fissureSlope);
  if (fissure < 1.5) hu = mix(hu, -550, 1 - fissure / 1.5);
  if (fluid > 0) {
    const depth = y - (lung.y + lung.ry - fluid) - 0.25 * (z - lung.base);
    if (depth > -2) hu = mix(hu, 12, inside(-depth, 4));
  }
  return hu;
}

/** Everything inside the skin but bones and vessels of the lung. */
function organs(p: Patient, x: number, y: number, z: number, softness: number): number {
  const fromMiddle = outsideMediastinum(p, x, y, z);
  const aorta = fromAorta(p, x, y, z) - p.aorta.radius;
  const right = x < 0;
  const lung = right ? p.right : p.left;
  const fromLung = Math.max(outsideLung(lung, x, y, z), -fromMiddle, -aorta);
  if (fromLung < softness / 2) {
    const tissue = fromLung < -softness / 2 ? 0 : softTissue(p, x, z, fromMiddle, aorta, right, softness);
    return mix(tissue, lungTissue(p, lung, p.effusion[right ? 0 : 1], x, y, z), inside(fromLung, softness));
  }
  return softTissue(p, x, z, fromMiddle, aorta, right, softness);
}

function softTissue(
  p: Patient,
  x: number,
  z: number,
  fromMiddle: number,
  aorta: number,
  right: boolean,
  softness: number,
): number {
  const blood = Math.max(
    inside(aorta, softness),
    z < p.heart.z + p.heart.r[2] && fromMiddle < -5 ? inside(fromMiddle + 5, 4) : 0,
  );
  const lung = right ? p.right : p.left;
  const belowLung = z < lung.base + lung.dome && fromMiddle > 0;
  const fatPad = fromMiddle < 0 && z > p.heart.z + p.heart.r[2] * 0.7 ? 0.6 : 0;
  const bed = belowLung ? (right ? p.liverHu : mix(p.liverHu, 20, 0.5)) : p.muscleHu;
  return mix(mix(bed, FAT, fatPad * (0.5 + 0.5 * Math.sin(x / 9) * Math.cos(z / 11))), p.bloodHu, blood);
}

/**
 * HU of a patient at a point, mm in the patient's frame, without vessels, airways, nodules and noise.
 * @param softness width of edges in mm, about a voxel
 */
export function tissueAt(p: Patient, x: number, y: number, z: number, softness: number): number {
  // Shoulders widen the trunk at the top.
  const shoulders = 1 + 0.18 / (1 + Math.exp((105 - z) / 10));
  const skin = outsideEllipse(x, y, p.width * shoulders, p.depth * (1 + 0.05 * (shoulders - 1)));
  if (skin > softness) return table(p, x, y, softness);
  const belowFat = skin + p.fat;
  let hu: number;
  if (belowFat > softness) hu = skin > -2 ? -10 : FAT;
  else {
    const cage = belowFat + p.muscle;
    hu =
      cage > softness
        ? Math.abs(cage - p.muscle * 0.5) < 1.2
          ? -60
          : p.muscleHu
        : organs(p, x, y, z, softness);
    const bone = boneAt(p, x, y, z, softness);
    if (bone) hu = mix(hu, bone.hu, bone.share);
    hu = mix(hu, FAT, 1 - inside(belowFat, softness));
  }
  return mix(AIR, hu, inside(skin, softness));
}

/** The table that the patient lies on: a thin curved shell with foam inside. */
function table(p: Patient, x: number, y: number, softness: number): number {
  const top = p.depth + 8 - (x / 40) ** 2;
  if (y < top - softness || Math.abs(x) > 200) return AIR;
  const shell = Math.min(Math.abs(y - top), Math.abs(y - top - 28)) - 1.5;
  const foam = y > top && y < top + 28 ? -930 : AIR;
  return mix(foam, -300, inside(shell, softness));
}
