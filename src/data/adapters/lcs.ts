import { UserError } from '../../errors.js';
import type { SampleFormat, SampleSplit } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import { type CropGrid, middleOf, stepOf } from '../scan/crop.js';
import type { Volume, XYZ } from '../scan/volume.js';
import { tileOrigins } from '../store/tiling.js';
import type { Adapter } from './adapter.js';
import { scansBelow } from './candidates.js';
import { cropChannels, cropLabels, readMask, readScan, spacingOf } from './images.js';

const SIZE: XYZ = [64, 64, 32];
/** Liver and lesions in LiTS; both are liver here. */
const LABELS = 2;
/** Least share of a cube that is liver. */
const LIVER_SHARE = 0.01;

/** LiTS' cases: 0 to 99 train, 100 to 114 validate, 115 to 129 test, where the data set reaches so far. */
function splitOf(number: number, all: readonly number[]): SampleSplit | null {
  if (Math.max(...all) < 115) return null;
  return number < 100 ? 'train' : number < 115 ? 'validation' : 'test';
}

/** Room for what rounding leaves of a whole number of voxels. */
const ROUNDING = 1e-6;

/**
 * Cubes side by side, in the middle of a scan: on its own voxels, or on those of a spacing.
 * @returns none when the scan is smaller than one
 */
function cubesOf(image: Volume, size: XYZ, spacing: XYZ | undefined): CropGrid[] {
  const step = stepOf(image, spacing);
  const middle = middleOf(image);
  const voxels = image.size.map((n, axis) => Math.floor(n / step[axis]! + ROUNDING)) as unknown as XYZ;
  return tileOrigins(voxels, { size, zBorder: 0, xyBorder: 0, reject: 'none' }).map((origin) => {
    const first = origin.map((at, axis) => middle[axis]! + (at - (voxels[axis]! - 1) / 2) * step[axis]!);
    return { size, first: first as unknown as XYZ, step };
  });
}

/** Liver segmentation, lesions included: cubes side by side that hold some liver. */
export const lcsAdapter: Adapter = {
  describe: 'LiTS: volume-N.nii and segmentation-N.nii',
  takes: ['spacing', 'normalise'],
  async open(input, options) {
    const scans = await scansBelow(input, options);
    const volumes = [...scans].flatMap(([id, path]) => {
      const number = /(?:^|\/)volume-(\d+)$/.exec(id)?.[1];
      return number === undefined
        ? []
        : [{ number, path, mask: scans.get(id.replace('volume', 'segmentation')) }];
    });
    if (volumes.length === 0)
      throw new UserError('input', {
        what: 'there are no LiTS volumes here',
        where: input,
        expected: 'volume-0.nii, segmentation-0.nii, …',
      });
    const { size = SIZE, spacing, normalise } = options;
    const format: SampleFormat = {
      ...{ task: 'lcs', kind: 'segmentation', classes: ['liver'] },
      ...{ size, channels: 1, ...valuesOf(normalise) },
    };
    const numbers = volumes.map(({ number }) => Number(number));
    const sources = volumes
      .filter(({ mask }) => mask !== undefined)
      .map(({ number, path, mask: maskPath }): SampleSource => {
        const id = `volume-${number}`;
        return {
          id,
          split: splitOf(Number(number), numbers),
          origin: { files: [path, maskPath!], facts: { spacing, normalise } },
          read: async () => {
            const image = await readScan(path, normalise);
            const labels = await readMask(maskPath!, image, LABELS);
            const liver = { ...labels, voxels: labels.voxels.map((label) => (label > 0 ? 1 : 0)) };
            const cubes = cubesOf(image, size, spacing);
            if (cubes.length === 0)
              throw new UserError('input', {
                what: 'the scan is smaller than one sample',
                where: path,
                got: `${image.size.join('×')} voxels of ${image.spacing.join('×')} mm`,
                expected: `at least ${size.join('×')} voxels${spacing ? ` of ${spacing.join('×')} mm` : ''}`,
                fix: `choose a smaller --size${spacing ? ' or --spacing' : ''}`,
              });
            return cubes.flatMap((grid, i) => {
              const mask = cropLabels(liver, grid);
              const share = mask.reduce((sum, label) => sum + label, 0) / mask.length;
              if (share < LIVER_SHARE) return [];
              const place = `${id}-${String(i).padStart(3, '0')}`;
              const cube = cropChannels([image], grid, normalise);
              return [
                { id: place, patient: id, spacing: spacingOf(image, grid), label: null, image: cube, mask },
              ];
            });
          },
        };
      });
    const problems = volumes
      .filter(({ mask }) => mask === undefined)
      .map(({ number, path }) => {
        const message = `segmentation-${number} is missing`;
        return { source: path, message, kept: { source: `volume-${number}`, message } };
      });
    return { format, sources, problems };
  },
};
