/** What a worker answers with. */
import { join } from 'node:path';
import { type ElementArray, elementTypeOf } from '../../data/scan/elements.js';
import { npyHeader, writeNpy } from '../../data/scan/npy.js';
import type { LabelMap, Volume } from '../../data/scan/volume.js';
import { writeVolume } from '../../data/scan/write-volume.js';
import { MEDIA_TYPES } from '../formats.js';
import type { Answer } from '../jobs.js';

export const jsonAnswer = (value: object): Answer => ({
  type: MEDIA_TYPES.json,
  bytes: Buffer.from(JSON.stringify(value)),
});

export const pngAnswer = (picture: Uint8Array): Answer => ({ type: MEDIA_TYPES.png, bytes: picture });

/** @param shape slowest axis first */
export const npyAnswer = (values: ElementArray, shape: readonly number[]): Answer => ({
  type: MEDIA_TYPES.npy,
  bytes: Buffer.concat([
    npyHeader(elementTypeOf(values), shape),
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  ]),
});

/** The voxels of an image, [z, y, x] in the order of its file. */
export function voxelsAnswer(folder: string, { voxels, size: [x, y, z] }: Volume | LabelMap): Answer {
  const file = join(folder, 'answer.npy');
  writeNpy(file, voxels, [z, y, x]);
  return { type: MEDIA_TYPES.npy, file };
}

export async function niftiAnswer(folder: string, image: Volume | LabelMap): Promise<Answer> {
  const file = join(folder, 'answer.nii.gz');
  await writeVolume(file, image, 'nii.gz');
  return { type: MEDIA_TYPES.nifti, file };
}
