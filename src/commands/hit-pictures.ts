/** Pictures of what a search found, cut from the scans themselves. */
import { type CropGrid, cropAround, cropImage } from '../data/scan/crop.js';
import { orientLPS, worldToVoxel } from '../data/scan/geometry.js';
import { readVolume } from '../data/scan/index.js';
import type { Volume, XYZ } from '../data/scan/volume.js';
import type { ImageModel } from '../inference/image-model.js';
import type { ModelScan } from '../inference/model-scan.js';
import { gridOfSpacing } from '../inference/scan-grid.js';
import type { ShownHit } from '../report/hits-page.js';
import { greyOf, scanPicture } from '../report/scan-picture.js';
import type { IndexManifest } from '../search/manifest.js';
import type { Hit } from '../search/open-index.js';
import { messageOf } from './scan-error.js';

type Grey = (value: number) => number;

/** Values of the part of a scan that a grid covers, at the scan's own resolution. */
function cut(volume: Volume, { size, first, step }: CropGrid): { size: XYZ; voxels: Float32Array } {
  const own = size.map((length, i) => Math.max(1, Math.round(length * step[i]!))) as unknown as XYZ;
  // The grid's first voxel lies in the middle of those that it covers.
  const edge = first.map((place, i) => Math.round(place - (step[i]! - 1) / 2)) as unknown as XYZ;
  return {
    size: own,
    voxels: cropImage(volume, { size: own, first: edge, step: [1, 1, 1] }, null),
  };
}

/** Three planes through the middle of a grid in voxels of a scan, as a PNG. @param grey without it, of the part's own values */
export function pictureOfGrid(volume: Volume, grid: CropGrid, grey?: Grey): Uint8Array {
  const { size, voxels } = cut(volume, grid);
  const toGrey = grey ?? greyOf(voxels);
  const [w, h] = size;
  const middle = size.map((length) => length >> 1) as unknown as XYZ;
  return scanPicture({ size, spacing: volume.spacing }, middle, [
    (x, y, z) => {
      const level = toGrey(voxels[x + w * (y + h * z)]!);
      return [level, level, level];
    },
  ]);
}

/** Where a hit lies in its scan. */
function gridOf(
  volume: Volume,
  { centre }: Hit,
  { window }: IndexManifest,
  { spacing }: ImageModel,
): CropGrid {
  const whole = gridOfSpacing(volume, spacing);
  if (centre === null) return whole;
  const mm = volume.spacing.map((length, i) => length * whole.step[i]!) as unknown as XYZ;
  return cropAround(volume, worldToVoxel(volume, centre), window, mm);
}

/**
 * Hits with their pictures. Scans in HU are all shown in the grey levels of the query.
 * @param query the scan that was looked for
 * @param onScan is called before each scan is read, and may throw to end the work
 */
export async function picturesOfHits(
  hits: readonly Hit[],
  index: IndexManifest,
  model: ImageModel,
  query: ModelScan,
  onScan: () => void = () => {},
): Promise<ShownHit[]> {
  const grey = model.normalise === 'hu' ? greyOf(query.volume.voxels) : undefined;
  const pictures = new Map<Hit, Uint8Array | string>();
  // One scan in memory at a time, read once whatever the number of its hits.
  for (const path of new Set(hits.map((hit) => hit.path))) {
    const own = hits.filter((hit) => hit.path === path);
    if (path === null) {
      for (const hit of own) pictures.set(hit, 'the index was made without --input, and has no pictures');
      continue;
    }
    onScan();
    try {
      const volume = orientLPS(await readVolume(path));
      for (const hit of own)
        pictures.set(hit, pictureOfGrid(volume, gridOf(volume, hit, index, model), grey));
    } catch (error) {
      for (const hit of own) pictures.set(hit, messageOf(error, path));
    }
  }
  return hits.map((hit) => ({
    title: hit.source,
    score: hit.score,
    centre: hit.centre,
    picture: pictures.get(hit)!,
  }));
}
