/** Random changes of training samples that keep what they show. */
import { toInt16 } from '../../int16.js';
import type { RandomStream } from '../../random.js';
import type { XYZ } from '../scan/volume.js';
import type { SampleFormat } from './manifest.js';
import type { SampleContent, SampleVoxels } from './store.js';

export interface Augmentation {
  /** Mirror images along each axis, half the time. */
  readonly flips: boolean;
  /** Most degrees of rotation around each axis. */
  readonly rotationDegrees: number;
  /** Most change of brightness and of contrast, as a share of the intensity range. */
  readonly intensity: number;
}

/** A map from positions of the new image to positions of the old one, around the middle: 3×3, row-major, in mm. */
type Turn = readonly number[];

const multiply = (a: Turn, b: Turn): Turn =>
  Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3) * 3, i % 3];
    return a[row]! * b[column]! + a[row + 1]! * b[column + 3]! + a[row + 2]! * b[column + 6]!;
  });

function rotation(axis: 0 | 1 | 2, radians: number): Turn {
  const [c, s] = [Math.cos(radians), Math.sin(radians)];
  return [
    [1, 0, 0, 0, c, -s, 0, s, c],
    [c, 0, s, 0, 1, 0, -s, 0, c],
    [c, -s, 0, s, c, 0, 0, 0, 1],
  ][axis]!;
}

/** Flips and rotations of one sample. Every stream gives the same number of draws, whatever they are for. */
function drawTurn(random: RandomStream, { flips, rotationDegrees }: Augmentation): Turn | null {
  const mirror = [0, 1, 2].map(() => (random.uniform() < 0.5 && flips ? -1 : 1));
  const angles = [0, 1, 2].map(() => (random.between(-1, 1) * rotationDegrees * Math.PI) / 180);
  if (!flips && rotationDegrees === 0) return null;
  const turned = angles.reduce<Turn>(
    (turn, angle, axis) => multiply(turn, rotation(axis as 0 | 1 | 2, angle)),
    [1, 0, 0, 0, 1, 0, 0, 0, 1],
  );
  return turned.map((value, i) => value * mirror[i % 3]!);
}

/** Visits the voxels of a turned image with where each comes from, in voxels of the old one; edges repeat. */
function forEachSource(
  [w, h, d]: XYZ,
  spacing: XYZ,
  turn: Turn,
  visit: (to: number, x: number, y: number, z: number) => void,
): void {
  const size = [w, h, d];
  const middle = size.map((n) => (n - 1) / 2);
  const step = (row: number, column: number) => (turn[3 * row + column]! * spacing[column]!) / spacing[row]!;
  const place = (axis: 0 | 1 | 2, i: number, j: number, k: number) => {
    const at =
      middle[axis]! +
      step(axis, 0) * (i - middle[0]!) +
      step(axis, 1) * (j - middle[1]!) +
      step(axis, 2) * (k - middle[2]!);
    return Math.min(Math.max(at, 0), size[axis]! - 1);
  };
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++) visit(to++, place(0, i, j, k), place(1, i, j, k), place(2, i, j, k));
}

function turnImage(image: SampleVoxels, size: XYZ, spacing: XYZ, turn: Turn): SampleVoxels {
  const [w, h, d] = size;
  const voxels = w * h * d;
  const turned = image.slice();
  const round = image instanceof Int16Array ? Math.round : (value: number) => value;
  for (let channel = 0; channel < image.length; channel += voxels)
    forEachSource(size, spacing, turn, (to, x, y, z) => {
      const [i, j, k] = [Math.floor(x), Math.floor(y), Math.floor(z)];
      const [i1, j1, k1] = [Math.min(i + 1, w - 1), Math.min(j + 1, h - 1), Math.min(k + 1, d - 1)];
      const [u, v, t] = [x - i, y - j, z - k];
      const row = (b: number, c: number) => {
        const at = channel + w * (b + h * c);
        return (1 - u) * image[at + i]! + u * image[at + i1]!;
      };
      turned[channel + to] = round(
        (1 - t) * ((1 - v) * row(j, k) + v * row(j1, k)) + t * ((1 - v) * row(j, k1) + v * row(j1, k1)),
      );
    });
  return turned;
}

function turnMask(mask: Uint8Array, size: XYZ, spacing: XYZ, turn: Turn): Uint8Array {
  const turned = new Uint8Array(mask.length);
  forEachSource(size, spacing, turn, (to, x, y, z) => {
    turned[to] = mask[Math.round(x) + size[0] * (Math.round(y) + size[1] * Math.round(z))]!;
  });
  return turned;
}

/** Values as the network sees them: what lies beyond the window must not reach its neighbours when the image is turned. */
function clipped(image: SampleVoxels, { window }: SampleFormat): SampleVoxels {
  if (!window) return image;
  return image.map((value) => Math.min(Math.max(value, window.low), window.high));
}

/** Brightness and contrast, each channel alike: x → middle + (x − middle)·c + b, within the range. */
function recolour(
  image: SampleVoxels,
  { window }: SampleFormat,
  random: RandomStream,
  most: number,
): SampleVoxels {
  const [contrast, brightness] = [1 + most * random.between(-1, 1), most * random.between(-1, 1)];
  if (most === 0) return image;
  const { low, high } = window ?? { low: 0, high: 1 };
  const middle = (low + high) / 2;
  const changed = (value: number) => middle + (value - middle) * contrast + brightness * (high - low);
  return image instanceof Int16Array ? image.map((value) => toInt16(changed(value))) : image.map(changed);
}

/**
 * A random variant of a sample.
 * @param random a stream of its own: the same stream gives the same variant
 */
export function augmented(
  { image, mask }: SampleContent,
  format: SampleFormat,
  spacing: XYZ,
  augmentation: Augmentation,
  random: RandomStream,
): SampleContent {
  const { size } = format;
  const turn = drawTurn(random, augmentation);
  const { rotationDegrees, intensity } = augmentation;
  const seen = rotationDegrees > 0 || intensity > 0 ? clipped(image, format) : image;
  const coloured = recolour(seen, format, random, intensity);
  if (!turn) return { image: coloured, mask };
  return {
    image: turnImage(coloured, size, spacing, turn),
    mask: mask && turnMask(mask, size, spacing, turn),
  };
}
