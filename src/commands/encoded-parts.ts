/** Parts of the wholes of a tile store, and what encoders make of them. */
import type { PartFeatures } from '../analysis/features.js';
import { type Box, DEFAULT_PART, samplePart } from '../data/proxies/parts2whole/parts.js';
import { resizedPart } from '../data/proxies/parts2whole/resized-part.js';
import type { XYZ } from '../data/scan/volume.js';
import { repeatVoxels } from '../data/store/block-mean.js';
import { readTile, type TileStore } from '../data/store/tiles.js';
import type { Encoder } from '../inference/encoder.js';
import { randomStream } from '../random.js';

/** Parts that are encoded at once. */
const BATCH = 16;

export interface SampledPart {
  /** Of the validation split. */
  readonly tile: number;
  readonly whole: number;
  readonly part: Box;
  /** Share of the whole's volume. */
  readonly scale: number;
}

const volumeOf = ([x, y, z]: XYZ) => x * y * z;

/** Parts of some wholes, and at the end of each whole the whole itself where asked for. */
export function sampleParts(
  size: XYZ,
  tiles: readonly number[],
  count: number,
  { scale, seed, withWhole }: { scale: readonly [number, number]; seed: number; withWhole: boolean },
): SampledPart[] {
  return tiles.flatMap((tile, whole) => {
    const parts = Array.from({ length: count }, (_, p): SampledPart => {
      const random = randomStream(seed, 'analyze part', tile, p);
      const part = samplePart(random, size, { ...DEFAULT_PART, scale });
      return { tile, whole, part, scale: Math.min(volumeOf(part.size) / volumeOf(size), 0.999) };
    });
    const all: SampledPart = { tile, whole, part: { start: [0, 0, 0], size }, scale: 1 };
    return withWhole ? [...parts, all] : parts;
  });
}

/** How an encoder was given parts, by what its file says; the store's tiles where it says nothing. */
function givenParts({ metadata, tile, window }: Encoder, store: TileStore) {
  const size = (text: string | undefined) => text?.split('x').map(Number) as unknown as XYZ | undefined;
  return {
    whole: size(metadata.whole_size) ?? tile ?? store.size,
    average: size(metadata.average) ?? ([1, 1, 1] as const),
    window,
  };
}

/** Features of parts, one row each, resized as in the encoder's training. */
export async function encodeParts(
  encoder: Encoder,
  store: TileStore,
  samples: readonly SampledPart[],
  onProgress: (done: number) => void,
): Promise<{ values: Float32Array; dimensions: number }> {
  const { whole, average, window } = givenParts(encoder, store);
  const [x, y, z] = whole.map((n, axis) => n * average[axis]!) as unknown as XYZ;
  let values = new Float32Array(0);
  let dimensions = 0;
  for (let first = 0; first < samples.length; first += BATCH) {
    const group = samples.slice(first, first + BATCH);
    const images = new Float32Array(BATCH * x * y * z);
    for (const [i, { tile, part }] of group.entries()) {
      const voxels = readTile(store, store.validation[tile]!);
      const resized = resizedPart({ voxels, size: store.size }, part, whole, window);
      images.set(repeatVoxels(resized, whole, average), i * x * y * z);
    }
    const found = await encoder.encode(images, [BATCH, z, y, x]);
    dimensions = found.dimensions;
    if (values.length === 0) values = new Float32Array(samples.length * dimensions);
    values.set(found.features.subarray(0, group.length * dimensions), first * dimensions);
    onProgress(group.length);
  }
  return { values, dimensions };
}

export const rowsOf = (values: Float32Array, dimensions: number): number[][] =>
  Array.from({ length: values.length / dimensions }, (_, i) => [
    ...values.subarray(i * dimensions, (i + 1) * dimensions),
  ]);

/** The rows of parts alone, without the wholes at the end of each group. */
export function withoutWholes(
  values: Float32Array,
  dimensions: number,
  wholes: number,
  parts: number,
): PartFeatures {
  const kept = new Float32Array(wholes * parts * dimensions);
  for (let whole = 0; whole < wholes; whole++) {
    const from = whole * (parts + 1) * dimensions;
    kept.set(values.subarray(from, from + parts * dimensions), whole * parts * dimensions);
  }
  return { wholes, partsPerWhole: parts, dimensions, values: kept };
}
