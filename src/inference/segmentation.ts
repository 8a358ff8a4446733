/** Masks of whole scans. */
import type { LabelMap, Volume } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import type { ImageModel } from './image-model.js';
import type { ModelScan } from './model-scan.js';
import { onScan, predictScan, type Windows } from './predict-scan.js';
import { placePlane, storedOrder } from './stored-order.js';

/** Above this, a voxel is of a class. */
const THRESHOLD = 0.5;

/**
 * The class of a voxel: the most probable one of those above 0.5; 0 where there is none, for background.
 * @param probabilities [classes, voxels]
 */
export function classAt(
  probabilities: ArrayLike<number>,
  classes: number,
  voxels: number,
  voxel: number,
): number {
  let [label, most] = [0, THRESHOLD];
  for (let c = 0; c < classes; c++) {
    const value = probabilities[c * voxels + voxel]!;
    if (value > most) [label, most] = [c + 1, value];
  }
  return label;
}

/** What a segmenter makes of a scan, on the grid of the scan's file, or the one that it was straightened onto. */
export interface Segmentation {
  /** 0 is background, 1 the first class. */
  readonly mask: LabelMap;
  /** Of each class; empty unless asked for. */
  readonly probabilities: readonly Volume[];
}

/** The classes of a model, by what it says of itself or by number. @throws UserError when it contradicts itself */
export function classesOf({ path, metadata, outputs }: ImageModel): string[] {
  const count = outputs.get('probabilities')?.[1];
  const unknown = (got: string) =>
    new UserError('input', {
      what: 'the classes that the model records are not those of its output',
      where: path,
      got,
      expected: `${count} names`,
    });
  if (typeof count !== 'number' || count > 255) throw unknown(`${count} channels`);
  const { classes } = metadata;
  if (classes === undefined) return Array.from({ length: count }, (_, i) => `class_${i + 1}`);
  let names: unknown;
  try {
    names = JSON.parse(classes);
  } catch {
    throw unknown(classes);
  }
  if (Array.isArray(names) && names.length === count && names.every((name) => typeof name === 'string'))
    return names;
  throw unknown(classes);
}

/** Segments a scan. Beyond the scan and the results, memory holds the values of one slab, as deep as a window. */
export async function segmentScan(
  model: ImageModel,
  scan: ModelScan,
  windows: Windows,
  keepProbabilities: boolean,
  onWindows?: (done: number, total: number) => void,
): Promise<Segmentation> {
  const { stored, volume } = scan;
  const { size } = volume;
  const plane = size[0] * size[1];
  const order = storedOrder(volume, stored);
  const predicted = predictScan(model, scan, {
    ...{ windows, output: 'probabilities', stride: [1, 1, 1] },
    ...(onWindows && { onWindows }),
  });
  const { channels } = predicted;
  const labels = new Uint8Array(volume.voxels.length);
  const maps = Array.from(
    { length: keepProbabilities ? channels : 0 },
    () => new Float32Array(volume.voxels.length),
  );
  for await (const { z, values } of onScan(predicted, scan)) {
    placePlane(labels, order, size, z, (i) => classAt(values, channels, plane, i));
    for (const [c, map] of maps.entries()) placePlane(map, order, size, z, (i) => values[c * plane + i]!);
  }
  return {
    mask: { ...stored, voxels: labels },
    probabilities: maps.map((voxels) => ({ ...stored, voxels })),
  };
}
