/** Answers as files, in the folder of their upload. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElementArray } from '../../data/scan/elements.js';
import { writeNpy } from '../../data/scan/npy.js';
import type { LabelMap, Volume } from '../../data/scan/volume.js';
import { writeVolume } from '../../data/scan/write-volume.js';
import { MEDIA_TYPES } from '../formats.js';
import type { Answer } from '../jobs.js';

export function jsonAnswer(folder: string, value: object): Answer {
  const file = join(folder, 'answer.json');
  writeFileSync(file, JSON.stringify(value));
  return { file, type: MEDIA_TYPES.json };
}

/** @param shape slowest axis first */
export function npyAnswer(folder: string, values: ElementArray, shape: readonly number[]): Answer {
  const file = join(folder, 'answer.npy');
  writeNpy(file, values, shape);
  return { file, type: MEDIA_TYPES.npy };
}

export function pngAnswer(folder: string, picture: Uint8Array): Answer {
  const file = join(folder, 'answer.png');
  writeFileSync(file, picture);
  return { file, type: MEDIA_TYPES.png };
}

export async function niftiAnswer(folder: string, image: Volume | LabelMap): Promise<Answer> {
  const file = join(folder, 'answer.nii.gz');
  await writeVolume(file, image, 'nii.gz');
  return { file, type: MEDIA_TYPES.nifti };
}

/** The voxels of an image, [z, y, x] in the order of its file. */
export const voxelsAnswer = (folder: string, { voxels, size: [x, y, z] }: Volume | LabelMap): Answer =>
  npyAnswer(folder, voxels, [z, y, x]);
