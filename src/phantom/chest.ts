import type { Grid, LabelMap, Volume, XYZ } from '../data/scan/volume.js';
import { type RandomStream, randomStream } from '../random.js';
import { acquire } from './acquisition.js';
import { makeCanvas, toGrid } from './canvas.js';
import { paintLungTrees } from './lung-trees.js';
import { mediastinumOf, paintMediastinum } from './mediastinum.js';
import { type Nodule, paintNodules } from './nodules.js';
import { drawPatient } from './patient.js';
import { paintSkeleton } from './skeleton.js';
import { paintTrunk } from './trunk.js';

export interface PhantomOptions {
  readonly seed: number;
  /** Which patient of this seed. */
  readonly index: number;
  /** Voxels along x, y, z. */
  readonly size: XYZ;
  /** mm; by default the scan covers a chest, about 340 × 340 × 280 mm, whatever its size in voxels. */
  readonly spacing?: XYZ;
}

export interface Phantom {
  /** int16 HU, axes along LPS. */
  readonly volume: Volume;
  readonly nodules: readonly Nodule[];
  /** The lungs include their vessels, airways and nodules. */
  readonly masks: { readonly lung: LabelMap; readonly nodule: LabelMap };
}

/**
 * Makes the chest CT of a patient who does not exist: everything about it follows from seed and index. The
 * same patient at another size is the same in all but noise, finest vessels and nodules.
 * @example
 * const { volume } = makePhantom({ seed: 1, index: 0, size: [64, 64, 48], spacing: [5, 5, 5] });
 */
export function makePhantom({ seed, index, size, spacing }: PhantomOptions): Phantom {
  const stream = (purpose: string) => randomStream(seed, 'phantom', index, purpose);
  const patient = drawPatient(stream('patient'));
  const scan = drawScan(stream('scan'), size, spacing);
  const canvas = makeCanvas(size, scan.spacing, scan.shift, patient.roll);
  const organs = mediastinumOf(patient);

  const lung = paintTrunk(canvas, patient, organs, stream('trunk'));
  paintLungTrees(canvas, patient, lung, stream('trees'));
  paintMediastinum(canvas, organs);
  paintSkeleton(canvas, patient, stream('skeleton'));
  const nodule = new Uint8Array(lung.length);
  const balls = paintNodules(canvas, lung, nodule, stream('nodules'));
  acquire(canvas, patient, stream('acquisition'));

  const [dx, dy, dz] = scan.table;
  const toWorld = ([x, y, z]: XYZ): XYZ => [x + dx, y + dy, z + dz];
  const grid: Grid = {
    size,
    spacing: scan.spacing,
    origin: toWorld(canvas.origin),
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  };
  return {
    volume: { ...grid, voxels: canvas.hu },
    nodules: balls.map(({ centre, radius, kind }) => ({
      world: toWorld(toGrid(canvas, centre)),
      diameterMm: 2 * radius,
      kind,
    })),
    masks: { lung: { ...grid, voxels: lung }, nodule: { ...grid, voxels: nodule } },
  };
}

/** Spacing, displacement of the grid against the patient, and position of the table, all in mm. */
function drawScan({ between }: RandomStream, size: XYZ, wanted: XYZ | undefined) {
  const [field, length] = [between(325, 375), between(262, 298)];
  const shift: XYZ = [between(-8, 8), between(-4, 10), between(-24, -6)];
  const table: XYZ = [between(-12, 12), between(-190, -150), between(-420, -80)];
  // Multiples of 1/1024 mm are exact in the 32-bit floats of NIfTI headers too.
  const exact = ([x, y, z]: XYZ): XYZ => [snap(x), snap(y), snap(z)];
  const spacing = wanted ?? exact([field / size[0], field / size[1], length / size[2]]);
  return { spacing, shift: exact(shift), table: exact(table) };
}

const snap = (mm: number) => Math.round(mm * 1024) / 1024;
