import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { numberIn } from '../../tables/table.js';
import type { SampleFormat } from '../samples/manifest.js';
import type { LabelledData, SampleSource } from '../samples/source.js';
import { valuesOf } from '../samples/values.js';
import type { CropGrid } from '../scan/crop.js';
import { worldToVoxel } from '../scan/geometry.js';
import type { Volume, XYZ } from '../scan/volume.js';
import { type Adapter, type AdapterOptions, refuseColumns } from './adapter.js';
import { absentScans, byScan, cropPlaces, lunaScans, lunaSplit, placeOf, tableIn } from './candidates.js';
import { manifestAdapter } from './manifest.js';

const SIZE: XYZ = [64, 64, 32];
const SPACING: XYZ = [1, 1, 1];
const COLUMNS = ['seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm'];

/** A ball, LPS mm. */
interface Ball {
  readonly world: XYZ;
  readonly radiusMm: number;
}

/** The voxels of a crop whose centres are in a ball. */
function ballMask(
  image: Volume,
  { size: [w, h, d], first, step }: CropGrid,
  balls: readonly Ball[],
): Uint8Array {
  const mask = new Uint8Array(w * h * d);
  const centres = balls.map(({ world, radiusMm }) => ({ at: worldToVoxel(image, world), radiusMm }));
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++, to++) {
        const place = [first[0] + i * step[0], first[1] + j * step[1], first[2] + k * step[2]];
        const inside = centres.some(
          ({ at, radiusMm }) =>
            Math.hypot(...place.map((p, axis) => (p - at[axis]!) * image.spacing[axis]!)) <= radiusMm,
        );
        if (inside) mask[to] = 1;
      }
  return mask;
}

/** Nodule crops with masks of their own, as LIDC-IDRI's are cut by several projects. */
const openCrops = async (input: string, options: AdapterOptions): Promise<LabelledData> => {
  const data = await manifestAdapter.open(join(input, 'labels.csv'), {
    ...options,
    size: options.size ?? SIZE,
    spacing: options.spacing ?? SPACING,
    classes: ['nodule'],
    columns: {
      image: 'image/{file}',
      mask: 'nodule_mask/{file}',
      patient: '{patient_id}',
      split: '',
      ...options.columns,
    },
  });
  return { ...data, format: { ...data.format, task: 'ncs' } };
};

/** LUNA16's scans with balls of the annotated diameters: an approximation where no masks are at hand. */
async function openAnnotations(input: string, options: AdapterOptions): Promise<LabelledData> {
  refuseColumns(options, input);
  const scans = await lunaScans(input, options);
  const table = tableIn(input, ['annotations.csv'], COLUMNS);
  const rows = byScan(table, 'seriesuid');
  const format: SampleFormat = {
    ...{ task: 'ncs', kind: 'segmentation', classes: ['nodule'] },
    ...{ size: options.size ?? SIZE, channels: 1, ...valuesOf(options.normalise) },
  };
  const { spacing = SPACING, normalise } = options;
  const sources = [...scans]
    .filter(([id]) => rows.has(id))
    .map(
      ([id, path]): SampleSource => ({
        id,
        split: lunaSplit(path),
        origin: {
          files: [path],
          facts: { spacing, normalise, places: rows.get(id)!.map(({ cells }) => cells) },
        },
        read: () => {
          const places = rows
            .get(id)!
            .map((row, i) => ({ ...placeOf(row), id: `${id}-${String(i).padStart(2, '0')}`, label: null }));
          const balls = places.map(({ world, row }) => ({
            world,
            radiusMm: numberIn(row, 'diameter_mm') / 2,
          }));
          return cropPlaces(path, id, places, format.size, { ...options, spacing }, (image, grid) =>
            ballMask(image, grid, balls),
          );
        },
      }),
    );
  return { format, sources, problems: absentScans(rows, scans, table.path) };
}

/** Lung nodule segmentation: 1 mm voxels around each nodule. */
export const ncsAdapter: Adapter = {
  describe: 'nodule crops with masks (labels.csv, image/, nodule_mask/), or LUNA16 with annotations.csv',
  takes: ['spacing', 'normalise', 'columns'],
  open: (input, options) =>
    existsSync(join(input, 'nodule_mask')) ? openCrops(input, options) : openAnnotations(input, options),
};
