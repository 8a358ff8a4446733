import { UserError } from '../../errors.js';
import { writeMetaImage } from './metaimage.js';
import { writeNifti } from './nifti.js';
import type { LabelMap, Volume } from './volume.js';
import { writeNrrd } from './write-nrrd.js';

/** Formats in which volumes are written, by the ending of their files. */
export const VOLUME_FORMATS = ['nii.gz', 'nii', 'nrrd', 'mha'] as const;
export type VolumeFormat = (typeof VOLUME_FORMATS)[number];

const WRITERS: Readonly<Record<VolumeFormat, (path: string, image: Volume | LabelMap) => Promise<void>>> = {
  'nii.gz': writeNifti,
  nii: writeNifti,
  nrrd: writeNrrd,
  mha: (path, image) => writeMetaImage(path, image, { compressed: true }),
};

/**
 * Writes a volume or a mask, to a file of the format's ending.
 * @throws UserError of kind `usage` for another ending or an image that contradicts itself, `disk` when it cannot be written
 * @example
 * await writeVolume('mask.nrrd', mask, 'nrrd');
 */
export async function writeVolume(
  path: string,
  image: Volume | LabelMap,
  format: VolumeFormat,
): Promise<void> {
  if (!path.endsWith(`.${format}`))
    throw new UserError('usage', {
      what: 'the extension is not that of the format',
      where: path,
      expected: `.${format}`,
    });
  await WRITERS[format](path, image);
}
