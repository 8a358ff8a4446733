/** Simple phantoms of target tasks for which the chest has no organ: a liver with lesions, and a brain with a tumour. */
import type { LabelMap, Volume, XYZ } from '../data/scan/volume.js';
import { type RandomStream, randomStream } from '../random.js';

interface Ellipsoid {
  readonly centre: XYZ;
  readonly radii: XYZ;
}

/** Below 1 inside, in units of the radii. */
const distanceIn = ({ centre, radii }: Ellipsoid, place: XYZ): number =>
  Math.hypot(...place.map((at, axis) => (at - centre[axis]!) / radii[axis]!));

/** An ellipsoid in parts of an image's size, a little different every time. */
function drawn(random: RandomStream, size: XYZ, centre: XYZ, radii: XYZ): Ellipsoid {
  const vary = () => random.between(0.9, 1.1);
  return {
    centre: centre.map((at, axis) => at * vary() * size[axis]!) as unknown as XYZ,
    radii: radii.map((r, axis) => r * vary() * size[axis]!) as unknown as XYZ,
  };
}

const gridOf = (size: XYZ, spacing: XYZ) => ({
  size,
  spacing,
  origin: [0, 0, 0] as XYZ,
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
});

function forEachVoxel([width, height, depth]: XYZ, visit: (at: number, place: XYZ) => void): void {
  let at = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) visit(at++, [x, y, z]);
}

/** An abdominal CT: body, a liver (label 1) and darker lesions in it (label 2), HU. */
export function makeLiver(seed: number, index: number, size: XYZ): { volume: Volume; labels: LabelMap } {
  const random = randomStream(seed, 'liver phantom', index);
  const body = drawn(random, size, [0.5, 0.5, 0.5], [0.42, 0.34, 0.9]);
  const liver = drawn(random, size, [0.36, 0.48, 0.5], [0.2, 0.2, 0.32]);
  const lesions = Array.from({ length: 1 + random.integer(3) }, () =>
    drawn(
      random,
      size,
      liver.centre.map(
        (at, axis) => (at + random.between(-0.5, 0.5) * liver.radii[axis]!) / size[axis]!,
      ) as unknown as XYZ,
      [0.05, 0.05, 0.08],
    ),
  );
  const grid = gridOf(size, [2, 2, 3]);
  const voxels = new Int16Array(size[0] * size[1] * size[2]);
  const labels = new Uint8Array(voxels.length);
  const [tissue, parenchyma] = [random.between(20, 45), random.between(85, 125)];
  forEachVoxel(size, (at, place) => {
    const inside = distanceIn(liver, place) < 1;
    const inLesion = inside && lesions.some((lesion) => distanceIn(lesion, place) < 1);
    labels[at] = inLesion ? 2 : inside ? 1 : 0;
    const hu = distanceIn(body, place) > 1 ? -1000 : inLesion ? 50 : inside ? parenchyma : tissue;
    voxels[at] = Math.round(hu + 12 * random.normal());
  });
  return { volume: { ...grid, voxels }, labels: { ...grid, voxels: labels } };
}

/** Brightness of brain, tumour core, its rim and the oedema around it, in each contrast. */
const CONTRASTS = {
  flair: [0.35, 0.5, 0.6, 0.8],
  t1: [0.6, 0.35, 0.45, 0.5],
  t1ce: [0.6, 0.35, 0.95, 0.5],
  t2: [0.4, 0.75, 0.7, 0.8],
} as const;
export type Contrast = keyof typeof CONTRASTS;

/** A brain MR in four contrasts, with a tumour: labels 1 core, 4 rim, 2 oedema, as BraTS has them. */
export function makeBrain(
  seed: number,
  index: number,
  size: XYZ,
): { contrasts: Readonly<Record<Contrast, Volume>>; labels: LabelMap } {
  const random = randomStream(seed, 'brain phantom', index);
  const brain = drawn(random, size, [0.5, 0.5, 0.5], [0.38, 0.44, 0.42]);
  const place: XYZ = [random.between(0.36, 0.64), random.between(0.36, 0.64), random.between(0.4, 0.6)];
  const oedema = drawn(random, size, place, [0.16, 0.16, 0.2]);
  const grid = gridOf(size, [1, 1, 1]);
  const count = size[0] * size[1] * size[2];
  const labels = new Uint8Array(count);
  const tissue = new Uint8Array(count);
  forEachVoxel(size, (at, voxel) => {
    const inBrain = distanceIn(brain, voxel) < 1;
    const depth = distanceIn(oedema, voxel);
    const kind = !inBrain ? 0 : depth < 0.4 ? 2 : depth < 0.6 ? 3 : depth < 1 ? 4 : 1;
    tissue[at] = kind;
    labels[at] = [0, 0, 1, 4, 2][kind]!;
  });
  const contrastOf = (name: Contrast): Volume => {
    const scale = random.between(300, 1500);
    const voxels = Int16Array.from(tissue, (kind) => {
      const value = kind === 0 ? 0 : CONTRASTS[name][kind - 1]! + 0.04 * random.normal();
      return Math.round(scale * Math.max(0, value));
    });
    return { ...grid, voxels };
  };
  const contrasts = Object.fromEntries(
    (Object.keys(CONTRASTS) as Contrast[]).map((name) => [name, contrastOf(name)]),
  ) as Record<Contrast, Volume>;
  return { contrasts, labels: { ...grid, voxels: labels } };
}
