import type { RandomStream } from '../random.js';
import { ramp, wallAt } from './body.js';
import { type Canvas, coverage } from './canvas.js';
import { noiseField, RowReader } from './field.js';
import type { Patient } from './patient.js';

/** Edge in voxels of the tile of noise that is laid over the slices, each time displaced; a power of two. */
const TILE = 256;
const PADDING = -1024;

/** Adds what the scanner adds: the table, noise, streaks, and padding outside of a round field of view. */
export function acquire(canvas: Canvas, patient: Patient, random: RandomStream): void {
  const round = random.uniform() < 0.4;
  paintTable(canvas, patient, random);
  addNoise(canvas, patient, random);
  if (round) cutFieldOfView(canvas);
}

/** A shell of carbon fibre around foam, curved or flat, under the back. It does not roll with the patient. */
function paintTable(canvas: Canvas, patient: Patient, random: RandomStream): void {
  const { size, spacing, origin, hu, soft } = canvas;
  const lowest = Math.max(...[-40, 0, 40].map((z) => wallAt(patient, Math.PI / 2, z).skin));
  const top = lowest + random.between(1, 6);
  const curve = random.uniform() < 0.6 ? random.between(0.0006, 0.0013) : 0;
  const [thickness, half] = [random.between(14, 30), random.between(190, 240)];
  const shell = random.between(-180, 60);
  for (let j = 0; j < size[1]; j++) {
    for (let i = 0; i < size[0]; i++) {
      const x = origin[0] + i * spacing[0];
      const depth = origin[1] + j * spacing[1] - top + curve * x * x;
      const inside = Math.max(Math.abs(depth - thickness / 2) - thickness / 2, Math.abs(x) - half);
      if (inside > soft) continue;
      const board = coverage(inside, soft) * (1 - coverage(inside + 1.6, soft));
      const foam = 45 * coverage(inside, soft);
      for (let k = 0; k < size[2]; k++) {
        const at = i + size[0] * (j + size[1] * k);
        // Clothes and skin that touch the table hide it.
        if (hu[at]! < -960) hu[at] = hu[at]! + foam + board * (shell + 1000);
      }
    }
  }
}

function addNoise(canvas: Canvas, patient: Patient, random: RandomStream): void {
  const { size, spacing, origin, hu } = canvas;
  const [width, height, depth] = size;
  const dose = random.between(7, 26);
  const grain = noiseTile(random, 1);
  const streaks = noiseTile(random, 14);
  const shading = new RowReader(noiseField(canvas, [60, 60, 40], random), width);
  for (let k = 0; k < depth; k++) {
    const z = origin[2] + k * spacing[2];
    // The shoulders let through the least.
    const girdle = ramp(z, patient.shoulder - 45, patient.shoulder + 5);
    const [a, b] = [random.integer(TILE * TILE), random.integer(TILE * TILE)];
    for (let j = 0; j < height; j++) {
      const row = width * (j + height * k);
      const shade = shading.seek(j, k);
      for (let i = 0; i < width; i++) {
        const value = hu[row + i]!;
        const air = value < -940 ? 0.45 : 1;
        const place = i + TILE * j;
        const noise =
          grain[(place + a) & (TILE * TILE - 1)]! * dose * (1 + 0.5 * girdle) +
          streaks[(place + b) & (TILE * TILE - 1)]! * dose * (0.25 + 1.6 * girdle);
        hu[row + i] = Math.round(value + air * (noise + 3 * shade[i]!));
      }
    }
  }
  for (let i = 0; i < hu.length; i++) if (hu[i]! < PADDING) hu[i] = PADDING;
}

/**
 * Noise as filtered back-projection leaves it: white noise without its lowest frequencies, and smoothed.
 * Unit variance. @param run voxels over which it is smeared along x
 */
function noiseTile(random: RandomStream, run: number): Float32Array {
  const count = TILE * TILE;
  const white = new Float32Array(count);
  for (let i = 0; i < count; i++) white[i] = random.normal();
  const at = (i: number) => white[i & (count - 1)]!;
  const tile = new Float32Array(count);
  let squares = 0;
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let x = 0; x < run; x++) sum += at(i + x);
    const near = at(i - 1 - TILE) + at(i + 1 - TILE) + at(i - 1 + TILE) + at(i + 1 + TILE);
    const edges = at(i - 1) + at(i + run) + at(i - TILE) + at(i + TILE);
    const far = at(i - 2) + at(i + 1 + run) + at(i - 2 * TILE) + at(i + 2 * TILE);
    tile[i] = sum + 0.55 * edges + 0.2 * near - 0.4 * far;
    squares += tile[i]! ** 2;
  }
  const deviation = Math.sqrt(squares / count);
  return tile.map((value) => value / deviation);
}

function cutFieldOfView({ size, hu }: Canvas): void {
  const [width, height, depth] = size;
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      if (Math.hypot((2 * i + 1) / width - 1, (2 * j + 1) / height - 1) <= 1) continue;
      for (let k = 0; k < depth; k++) hu[i + width * (j + height * k)] = PADDING;
    }
  }
}
