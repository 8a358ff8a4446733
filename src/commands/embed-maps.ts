/** Feature maps of whole scans. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeNifti } from '../data/scan/nifti.js';
import { writeNpy } from '../data/scan/npy.js';
import type { Grid } from '../data/scan/volume.js';
import type { Failure } from '../data/store/arrays.js';
import { UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import type { ImageModel } from '../inference/image-model.js';
import type { ModelScan } from '../inference/model-scan.js';
import { checkedWindows, predictScan, type Windows } from '../inference/predict-scan.js';
import { placeOfGrid } from '../inference/scan-grid.js';
import { journalPath, withResultFolder } from './result-folder.js';
import { forEachScan, openScanModel, type WholeScanOptions } from './whole-scans.js';

/** Formats of feature maps, by the ending of their files. */
export const MAP_FORMATS = ['npy', 'nii.gz', 'nii'] as const;
export type MapFormat = (typeof MAP_FORMATS)[number];

interface MapsOptions extends WholeScanOptions {
  /** Folder. */
  readonly out: string;
  readonly format?: MapFormat;
}

interface MapsSummary {
  readonly files: readonly string[];
  readonly scans: number;
  /** How many maps there are: one a scan. */
  readonly rows: number;
  /** Channels of a map. */
  readonly dimensions: number;
  readonly failures: readonly Failure[];
}

const OVERLAP = 0.5;

interface FeatureMap {
  readonly channels: number;
  /** [channels, D, H, W]. */
  readonly values: Float32Array;
  readonly grid: Grid;
}

/** @throws UserError for a model without a feature map */
function checkMapped({ outputs, path }: ImageModel): void {
  if (outputs.get('feature_map')?.length === 5) return;
  throw new UserError('usage', {
    what: 'this model has no output "feature_map" [N,C,D,H,W]',
    where: path,
    got: [...outputs.keys()].join(', '),
    expected: 'an encoder written by `p2w export`',
  });
}

async function featureMap(
  model: ImageModel,
  scan: ModelScan,
  windows: Windows,
  onWindows: (done: number, total: number) => void,
): Promise<FeatureMap> {
  const options = { windows, output: 'feature_map', stride: model.multiples, onWindows };
  const { channels, grid, planes } = predictScan(model, scan, options);
  const [width, height, depth] = grid.size;
  const plane = width * height;
  const values = new Float32Array(channels * plane * depth);
  for await (const { z, values: atZ } of planes)
    for (let c = 0; c < channels; c++)
      values.set(atZ.subarray(c * plane, (c + 1) * plane), plane * (z + depth * c));
  return { channels, values, grid: placeOfGrid(scan.volume, grid) };
}

/** A `.npy`, [C, D, H, W], and beside it a `.json` that says where its voxels lie; or a NIfTI, [W, H, D, C], which says so itself. */
async function writeMap(
  out: string,
  name: string,
  format: MapFormat,
  { channels, values, grid }: FeatureMap,
): Promise<string[]> {
  const file = `${name}.${format}`;
  const path = join(out, file);
  makeFolder(dirname(path), out);
  if (format !== 'npy') {
    await writeNifti(path, { ...grid, voxels: values }, channels);
    return [file];
  }
  const place = { axes: 'LPS, [channels, z, y, x]', channels, ...grid };
  writeFileAtomic(join(out, `${name}.json`), `${JSON.stringify(place, null, 2)}\n`);
  writeNpy(path, values, [channels, ...grid.size.toReversed()]);
  return [`${name}.json`, file];
}

/** What `embed` does with `per: 'map'`. */
export async function embedMaps(options: MapsOptions): Promise<MapsSummary> {
  const { out, input, format = 'npy' } = options;
  const model = await openScanModel(options, 'encoder');
  try {
    checkMapped(model);
    const windows = checkedWindows(model, options, OVERLAP);
    return await withResultFolder(out, input, 'embed', options.shard, async () => {
      const { window, overlap } = windows;
      const { scans, failures } = await forEachScan<FeatureMap, readonly string[]>(model, options, {
        label: 'embed',
        journal: journalPath(out),
        settings: { window, overlap, format },
        isThere: (files) => files.every((file) => existsSync(join(out, file))),
        compute: (scan, onWindows) => featureMap(model, scan, windows, onWindows),
        write: (name, map) => writeMap(out, name, format, map),
      });
      return {
        files: scans.flatMap(({ entry }) => entry.map((file) => join(out, file))),
        scans: scans.length,
        rows: scans.length,
        dimensions: model.outputs.get('feature_map')![1] as number,
        failures,
      };
    });
  } finally {
    await model.release();
  }
}
