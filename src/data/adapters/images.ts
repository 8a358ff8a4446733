/** Reading what a sample is made of: images and masks on one grid, cropped and normalised. */
import { UserError } from '../../errors.js';
import type { SampleVoxels } from '../samples/store.js';
import { normaliser } from '../samples/values.js';
import { type CropGrid, cropImage, cropMask } from '../scan/crop.js';
import { gridsAgree, orientLPS, voxelToWorld, worldToVoxel } from '../scan/geometry.js';
import { checkHounsfield } from '../scan/hounsfield.js';
import { readVolume } from '../scan/index.js';
import type { Normalisation } from '../scan/normalise.js';
import type { LabelMap, Volume, Voxels, XYZ } from '../scan/volume.js';

/** A scan with its axes along left, posterior, superior. @throws UserError */
export const readImage = async (path: string): Promise<Volume> => orientLPS(await readVolume(path));

/**
 * A scan that is to be normalised, axes as {@link readImage}.
 * @param normalise what the user says: `hu` is believed, and without it the values must look like HU
 * @throws UserError
 */
export async function readScan(path: string, normalise: Normalisation | undefined): Promise<Volume> {
  const image = await readImage(path);
  if (normalise === undefined || normalise === 'hu') checkHounsfield(image, path, normalise === 'hu');
  return image;
}

/**
 * A mask that covers only some of an image's voxels, with 0 in the others: programs leave out what is empty.
 * @returns the mask itself where it does not lie on voxels of the image
 */
function withinGrid(mask: Volume, image: Volume): Volume {
  const first = worldToVoxel(image, mask.origin);
  const [x, y, z] = first.map(Math.round) as unknown as XYZ;
  const size = image.size.map((length, i) => Math.min(mask.size[i]!, length)) as unknown as XYZ;
  const origin = voxelToWorld(image, [x, y, z]);
  const covered = { ...image, size, origin };
  const inside = [x, y, z].every((at, i) => at >= 0 && at + mask.size[i]! <= image.size[i]!);
  if (!inside || gridsAgree(mask, image) || !gridsAgree(mask, covered)) return mask;
  const voxels = new (mask.voxels.constructor as new (length: number) => Voxels)(image.voxels.length);
  const [width, height, depth] = mask.size;
  for (let k = 0; k < depth; k++)
    for (let j = 0; j < height; j++) {
      const from = width * (j + height * k);
      const to = x + image.size[0] * (y + j + image.size[1] * (z + k));
      voxels.set(mask.voxels.subarray(from, from + width), to);
    }
  return { ...image, voxels };
}

/**
 * A mask of the classes 1 … `classes`, on the grid of an image.
 * @throws UserError when the mask is not on the image's voxels, or one of its own is no such number
 */
export async function readMask(path: string, image: Volume, classes: number): Promise<LabelMap> {
  const mask = withinGrid(await readImage(path), image);
  if (!gridsAgree(mask, image))
    throw new UserError('input', {
      what: 'the mask is not on the same grid as its image',
      where: path,
      got: `${mask.size.join('×')} voxels of ${mask.spacing.join('×')} mm`,
      expected: `${image.size.join('×')} voxels of ${image.spacing.join('×')} mm, at the same position`,
      fix: 'resample the mask onto the grid of the image with nearest-neighbour interpolation',
    });
  const wrong = mask.voxels.find((value) => !(Number.isInteger(value) && value >= 0 && value <= classes));
  if (wrong !== undefined)
    throw new UserError('input', {
      what: 'a label of this mask is not one of the classes',
      where: path,
      got: String(wrong),
      expected: `0 for background, 1 to ${classes}`,
      fix: 'list all classes in --classes, or fix the mask',
    });
  return { ...mask, voxels: Uint8Array.from(mask.voxels) };
}

/** @throws UserError when an image is not on the grid of the first: a sample's channels are of the same places */
export function checkSameGrid(channels: readonly Volume[], paths: readonly string[]): void {
  const [first] = channels;
  const other = channels.findIndex((channel) => !gridsAgree(channel, first!));
  if (other < 0) return;
  throw new UserError('input', {
    what: 'the images of a sample are not on the same grid',
    where: paths[other]!,
    got: `${channels[other]!.size.join('×')} voxels of ${channels[other]!.spacing.join('×')} mm`,
    expected: `${first!.size.join('×')} voxels of ${first!.spacing.join('×')} mm, at the same position as ${paths[0]}`,
    fix: 'resample the image onto the grid of the first',
  });
}

/** Crops of the channels of one scan, one behind the other: [C, D, H, W]. */
export function cropChannels(
  channels: readonly Volume[],
  grid: CropGrid,
  normalise: Normalisation = 'hu',
): SampleVoxels {
  const crops = channels.map((channel) =>
    normaliser(channel, normalise)((scan, outside) => cropImage(scan, grid, outside)),
  );
  const [first] = crops;
  if (crops.length === 1) return first!;
  const joined =
    first instanceof Int16Array
      ? new Int16Array(crops.length * first.length)
      : new Float32Array(crops.length * first!.length);
  for (const [i, crop] of crops.entries()) joined.set(crop, i * crop.length);
  return joined;
}

/** A mask's crop. */
export const cropLabels = (mask: LabelMap, grid: CropGrid): Uint8Array => cropMask(mask, grid);

/** The spacing of a crop, in mm. */
export const spacingOf = ({ spacing }: Volume, { step }: CropGrid): XYZ =>
  spacing.map((mm, i) => mm * step[i]!) as unknown as XYZ;
