/** Which voxels of a scan a query and the pictures of its hits are of, where the model has a spacing of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { encodeModel, GraphBuilder, toModel } from '../../graphs/index.js';
import { pictureOfGrid } from '../../src/commands/hit-pictures.js';
import { queryOf } from '../../src/commands/query.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { type ImageModel, openImageModel } from '../../src/inference/image-model.js';
import { type ModelScan, readModelScan } from '../../src/inference/model-scan.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const SIZE = 64;
/** HU of the voxels at a place along x. */
const huAt = (x: number) => 20 * x - 1000;
const placeOf = (hu: number) => (hu + 1000) / 20;
let model: ImageModel;
let scan: ModelScan;

/** The mean of 8×8×8 voxels of 4 mm. */
function writeMean(path: string): void {
  const g = new GraphBuilder('mean');
  const hu = g.input('hu', 'float32', ['N', 8, 8, 8]);
  g.output('features', g.reshape(g.mean(hu, [1, 2, 3], 0), [-1, 1]));
  const metadata = { normalise: 'hu', tile_size: '8x8x8', spacing: '4x4x4' };
  writeFileSync(path, encodeModel(toModel(g.build(), { metadata })));
}

beforeAll(async () => {
  const path = join(folder, 'ramp.nii');
  const voxels = Int16Array.from({ length: SIZE ** 3 }, (_, i) => huAt(i % SIZE));
  const direction = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  await writeNifti(path, {
    size: [SIZE, SIZE, SIZE],
    spacing: [1, 1, 1],
    origin: [0, 0, 0],
    direction,
    voxels,
  });
  writeMean(join(folder, 'mean.onnx'));
  model = openImageModel(join(folder, 'mean.onnx'), nodeEngine, 1);
  scan = await readModelScan(path, model, () => {});
});

const cube = (first: number, last: number) =>
  [[first, first, first] as XYZ, [last, last, last] as XYZ] as const;

test.each([
  ['the whole scan', undefined, 31.5],
  ['a box of all of it', cube(0, 63), 31.5],
  ['a box in the middle', cube(16, 47), 31.5],
  ['a box elsewhere', cube(8, 39), 23.5],
] as const)('a query of %s is of the voxels in it', async (_, box, middle) => {
  const manifest = { window: [8, 8, 8] } as unknown as Parameters<typeof queryOf>[2];
  const { features } = await queryOf(model, scan, manifest, box, () => {});
  expect(placeOf(features[0]!)).toBeCloseTo(middle, 3);
});

test('pictures show the voxels that a grid covers', () => {
  const shown = (first: number, count: number) => {
    const places = new Set<number>();
    const grid = { size: [count, count, count], first: [first, first, first], step: [4, 4, 4] } as const;
    pictureOfGrid(scan.volume, grid, (hu) => {
      places.add(placeOf(hu));
      return 0;
    });
    return [Math.min(...places), Math.max(...places)];
  };
  expect(shown(1.5, 16)).toEqual([0, 63]);
  expect(shown(17.5, 8)).toEqual([16, 47]);
});
