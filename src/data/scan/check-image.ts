import { UserError } from '../../errors.js';
import { isUsable, voxelCount } from './scan.js';
import type { LabelMap, Volume } from './volume.js';

/**
 * Checks what is to be written as a scan.
 * @param path where to
 * @param channels values of each voxel
 * @throws UserError of kind `usage` unless there are as many values as the size says, on a grid that can be read back
 */
export function checkImage(path: string, image: Volume | LabelMap, channels: number): void {
  const { voxels, size, spacing, origin, direction } = image;
  const refuse = (what: string, got: string, expected: string) => {
    throw new UserError('usage', { what, where: path, got, expected });
  };
  if (!size.every((length) => Number.isSafeInteger(length) && length > 0))
    refuse('this is not the size of an image', size.join('×'), 'at least 1 voxel along each axis');
  const expected = channels * voxelCount(size);
  if (voxels.length !== expected)
    refuse(
      'the image does not have as many values as its size says',
      `${voxels.length} values`,
      `${expected}, for ${size.join('×')} voxels${channels === 1 ? '' : ` of ${channels} values`}`,
    );
  if (!isUsable(image))
    refuse(
      'the image does not lie on a possible grid',
      `spacing ${spacing.join(', ')} mm, origin ${origin.join(', ')}, direction ${direction.join(', ')}`,
      'spacings above 0 mm, and a finite origin and direction',
    );
}
