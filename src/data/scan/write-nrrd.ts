import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { AtomicFile } from '../../files.js';
import { checkImage } from './check-image.js';
import { type ElementType, elementTypeOf } from './elements.js';
import { pieces } from './pieces.js';
import type { LabelMap, Volume } from './volume.js';

/** NRRD's names for the types that volumes are written in. */
const TYPES: Partial<Record<ElementType, string>> = { uint8: 'uint8', int16: 'int16', float32: 'float' };

/**
 * Writes NRRD (`.nrrd`): one file, gzip-compressed, little-endian, with its place in LPS millimetres.
 * @throws UserError of kind `usage` for an image that contradicts itself, `disk` when it cannot be written
 * @example
 * await writeNrrd('mask.nrrd', mask);
 */
export async function writeNrrd(path: string, image: Volume | LabelMap): Promise<void> {
  checkImage(path, image, 1);
  const file = new AtomicFile(path);
  try {
    file.write(Buffer.from(headerText(image)));
    await pipeline(Readable.from(pieces(image.voxels)), createGzip(), file.stream());
    file.commit();
  } finally {
    file.discard();
  }
}

function headerText({ voxels, size, spacing, origin, direction }: Volume | LabelMap): string {
  const vector = (values: readonly number[]) => `(${values.join(',')})`;
  const axes = [0, 1, 2].map((axis) =>
    vector([0, 1, 2].map((row) => direction[3 * row + axis]! * spacing[axis]!)),
  );
  return [
    'NRRD0004',
    `type: ${TYPES[elementTypeOf(voxels)]}`,
    'dimension: 3',
    'space: left-posterior-superior',
    `sizes: ${size.join(' ')}`,
    `space directions: ${axes.join(' ')}`,
    'kinds: domain domain domain',
    'endian: little',
    'encoding: gzip',
    `space origin: ${vector(origin)}`,
    '\n',
  ].join('\n');
}
