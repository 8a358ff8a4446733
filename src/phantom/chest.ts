import type { Grid, LabelMap, Volume, XYZ } from '../data/volume.js';
import { randomStream } from '../random.js';
import { inside, outsideLung, tissueAt } from './anatomy.js';
import { drawNodules, type Nodule, outsideNodule } from './nodules.js';
import { drawPatient, type Patient } from './patient.js';
import { drawTubes, fromSegment, type Tube } from './tubes.js';

export interface Phantom {
  readonly volume: Volume;
  readonly nodules: readonly Nodule[];
  readonly masks: { readonly lung: LabelMap; readonly nodule: LabelMap };
}

export interface PhantomOptions {
  readonly seed: number;
  /** Which patient of the seed. */
  readonly index: number;
  readonly size: XYZ;
  /** mm; a field of view of about 380×380×280 mm without it, a little different for every scan. */
  readonly spacing?: XYZ;
}

const FIELD_MM: XYZ = [380, 380, 280];
const MOST_NODULES = 6;

/** A scan being made: its voxels, and how they map to the patient's frame. */
class Canvas {
  readonly voxels: Float32Array;
  readonly #cos: number;
  readonly #sin: number;
  /** About the edge of a voxel, mm: how soft edges are. */
  readonly softness: number;

  constructor(
    readonly grid: Grid,
    readonly patient: Patient,
  ) {
    this.voxels = new Float32Array(grid.size[0] * grid.size[1] * grid.size[2]);
    this.#cos = Math.cos(patient.turn);
    this.#sin = Math.sin(patient.turn);
    this.softness = Math.cbrt(grid.spacing[0] * grid.spacing[1] * grid.spacing[2]);
  }

  /** Calls `paint` for every voxel in a box, with its place in the patient's frame, mm. */
  forEach(low: XYZ, high: XYZ, paint: (index: number, x: number, y: number, z: number) => void): void {
    const { size, spacing } = this.grid;
    const { offsetX, offsetY, offsetZ } = this.patient;
    const [nx, ny, nz] = size;
    for (let k = Math.max(0, low[2]); k < Math.min(nz, high[2]); k++) {
      const z = (k + 0.5 - nz / 2) * spacing[2] - offsetZ;
      for (let j = Math.max(0, low[1]); j < Math.min(ny, high[1]); j++) {
        const v = (j + 0.5 - ny / 2) * spacing[1] - offsetY;
        for (let i = Math.max(0, low[0]); i < Math.min(nx, high[0]); i++) {
          const u = (i + 0.5 - nx / 2) * spacing[0] - offsetX;
          paint(i + nx * (j + ny * k), this.#cos * u + this.#sin * v, this.#cos * v - this.#sin * u, z);
        }
      }
    }
  }

  /** Continuous voxel coordinates of a place in the patient's frame. */
  voxelOf([x, y, z]: XYZ): XYZ {
    const { size, spacing } = this.grid;
    const u = this.#cos * x - this.#sin * y + this.patient.offsetX;
    const v = this.#sin * x + this.#cos * y + this.patient.offsetY;
    return [
      u / spacing[0] + size[0] / 2 - 0.5,
      v / spacing[1] + size[1] / 2 - 0.5,
      (z + this.patient.offsetZ) / spacing[2] + size[2] / 2 - 0.5,
    ];
  }

  /** The voxels within `reach` mm of some places. */
  around(places: readonly XYZ[], reach: number): [low: XYZ, high: XYZ] {
    const at = places.map((place) => this.voxelOf(place));
    const axis = (a: 0 | 1 | 2, sign: -1 | 1) => {
      const edge = reach / this.grid.spacing[a];
      return sign < 0
        ? Math.floor(Math.min(...at.map((v) => v[a])) - edge)
        : Math.ceil(Math.max(...at.map((v) => v[a])) + edge) + 1;
    };
    return [
      [axis(0, -1), axis(1, -1), axis(2, -1)],
      [axis(0, 1), axis(1, 1), axis(2, 1)],
    ];
  }
}

function paintTube(canvas: Canvas, tube: Tube): void {
  const { voxels, softness } = canvas;
  const outer = tube.radius + (tube.wall?.thickness ?? 0);
  const [low, high] = canvas.around([tube.from, tube.to], outer + softness);
  canvas.forEach(low, high, (index, x, y, z) => {
    const distance = fromSegment([x, y, z], tube);
    if (distance > outer + softness) return;
    const under = voxels[index]!;
    // A wall shows against the air of the lung, and vanishes in soft tissue.
    const walled = tube.wall
      ? under + (Math.max(under, tube.wall.hu) - under) * inside(distance - outer, softness)
      : under;
    voxels[index] = walled + (tube.hu - walled) * inside(distance - tube.radius, softness);
  });
}

/** Correlated noise: what is left of white noise after a reconstruction kernel, in the axial plane. */
function addNoise({ voxels, grid, patient }: Canvas, seed: number, index: number): void {
  const random = randomStream(seed, 'noise', index);
  const [nx, ny, nz] = grid.size;
  const plane = new Float32Array(nx * ny);
  for (let k = 0; k < nz; k++) {
    for (let i = 0; i < plane.length; i++)
      plane[i] = random.uniform() + random.uniform() + random.uniform() - 1.5;
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++) {
        const at = (a: number, b: number) =>
          plane[Math.min(Math.max(i + a, 0), nx - 1) + nx * Math.min(Math.max(j + b, 0), ny - 1)]!;
        const smooth = 0.5 * at(0, 0) + 0.2 * (at(1, 0) + at(-1, 0) + at(0, 1) + at(0, -1));
        voxels[i + nx * (j + ny * k)]! += smooth * 2.6 * patient.noiseHu;
      }
    }
  }
}

function toHu({ voxels, grid, patient }: Canvas): Int16Array {
  const [nx, ny] = grid.size;
  const hu = new Int16Array(voxels.length);
  for (let i = 0; i < hu.length; i++) {
    const [u, v] = [((i % nx) + 0.5) / nx - 0.5, ((Math.floor(i / nx) % ny) + 0.5) / ny - 0.5];
    const outside = patient.padding !== null && u * u + v * v > 0.25;
    hu[i] = outside ? patient.padding! : Math.min(Math.max(Math.round(voxels[i]!), -1024), 3071);
  }
  return hu;
}

/**
 * A chest CT that never was: patient `index` of a seed, in HU, with its nodules and masks. The same options give
 * the same scan, and no two patients are alike.
 */
export function makePhantom({ seed, index, size, spacing }: PhantomOptions): Phantom {
  const patient = drawPatient(seed, index);
  const random = randomStream(seed, 'scan', index);
  const zoom = random.between(0.9, 1.1);
  const mm = (axis: 0 | 1 | 2) =>
    spacing?.[axis] ?? Number(((FIELD_MM[axis] * zoom) / size[axis]).toFixed(4));
  const grid: Grid = {
    size,
    spacing: [mm(0), mm(1), mm(2)],
    origin: [(-size[0] * mm(0)) / 2, (-size[1] * mm(1)) / 2, -Math.round(random.between(150, 400))],
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  };
  const canvas = new Canvas(grid, patient);
  const { voxels, softness } = canvas;
  const all: [XYZ, XYZ] = [[0, 0, 0], size];
  const lung = new Uint8Array(voxels.length);
  canvas.forEach(...all, (i, x, y, z) => {
    voxels[i] = tissueAt(patient, x, y, z, softness);
    if (
      voxels[i]! < -400 &&
      Math.min(outsideLung(patient.right, x, y, z), outsideLung(patient.left, x, y, z)) < 0
    )
      lung[i] = 1;
  });
  for (const tube of drawTubes(patient, random, softness)) paintTube(canvas, tube);

  const mask = new Uint8Array(voxels.length);
  const nodules: Nodule[] = [];
  for (const shape of drawNodules(patient, random, MOST_NODULES)) {
    const voxel = canvas.voxelOf(shape.center);
    // The scan may begin or end within a lung.
    if (voxel.some((v, axis) => v < 0 || v > size[axis]! - 1)) continue;
    const [low, high] = canvas.around([shape.center], 1.3 * shape.radius + softness);
    canvas.forEach(low, high, (i, x, y, z) => {
      const distance = outsideNodule(shape, x, y, z);
      voxels[i] = voxels[i]! + (Math.max(shape.hu, voxels[i]!) - voxels[i]!) * inside(distance, softness);
      if (distance < 0) {
        mask[i] = 1;
        lung[i] = 1;
      }
    });
    const world = (axis: 0 | 1 | 2) => grid.origin[axis] + voxel[axis] * grid.spacing[axis];
    nodules.push({ world: [world(0), world(1), world(2)], diameterMm: 2 * shape.radius, kind: shape.kind });
  }
  addNoise(canvas, seed, index);
  return {
    volume: { ...grid, voxels: toHu(canvas) },
    nodules,
    masks: { lung: { ...grid, voxels: lung }, nodule: { ...grid, voxels: mask } },
  };
}
