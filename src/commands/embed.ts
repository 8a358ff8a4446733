import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { orientLPS } from '../data/scan/geometry.js';
import { checkHounsfield, unlikeHounsfield } from '../data/scan/hounsfield.js';
import { findScans, readVolume } from '../data/scan/index.js';
import { type Normalisation, normaliseVolume } from '../data/scan/normalise.js';
import type { Volume, XYZ } from '../data/scan/volume.js';
import { openTileStore, readTile } from '../data/store/tiles.js';
import { cutTile, tileOrigins } from '../data/store/tiling.js';
import { UserError } from '../errors.js';
import { openEngine } from '../execution/open-engine.js';
import { makeFolder } from '../files.js';
import { checkIntensities, type Encoder, openEncoder } from '../inference/encoder.js';
import { memoryLimitBytes } from '../machine.js';
import { type Progress, type Reporting, silent } from '../progress.js';
import { checkFeaturePath, type FeatureRow, writeFeatures } from './feature-files.js';

export interface EmbedOptions extends Reporting {
  /** An encoder with input `hu` [N,D,H,W] and output `features` [N,C], as `export` writes it. */
  readonly model: string;
  /** Scans, folders of scans, tile stores. */
  readonly input: readonly string[];
  readonly out: string;
  /** A row a scan, the mean over its tiles, or a row a tile. Scans default to the first, tile stores to the second. */
  readonly per?: 'scan' | 'tile';
  /** Size of the tiles that scans are cut into; the model's training tiles without it. */
  readonly size?: XYZ;
  readonly threads?: number;
  /** Whether DICOM series go by their own identifier (UID), which may lead to the patient; default false. */
  readonly keepUids?: boolean;
  /** `auto`, `cpu`, `cuda` or `cuda:N`; `auto` without it. */
  readonly device?: string;
}

export interface EmbedSummary {
  readonly files: readonly string[];
  readonly rows: number;
  readonly dimensions: number;
  readonly failures: readonly { source: string; message: string }[];
}

/** Tiles of one scan, by their offsets. */
interface Source {
  readonly name: string;
  readonly size: XYZ;
  readonly offsets: readonly XYZ[];
  readonly tiles: Iterable<Int16Array | Float32Array>;
}

async function embedSource(encoder: Encoder, source: Source, per: 'scan' | 'tile'): Promise<FeatureRow[]> {
  const rows: FeatureRow[] = [];
  const [x, y, z] = source.size;
  // One by one: a batch is not faster.
  for (const tile of source.tiles) {
    const { features } = await encoder.encode(tile, [1, z, y, x]);
    rows.push({ source: source.name, offset: source.offsets[rows.length]!, tiles: 1, features });
  }
  if (per === 'tile' || rows.length === 0) return rows;
  const mean = rows[0]!.features.map(
    (_, c) => rows.reduce((sum, row) => sum + row.features[c]!, 0) / rows.length,
  );
  return [{ source: source.name, offset: null, tiles: rows.length, features: mean }];
}

const isStore = (path: string) => existsSync(join(path, 'manifest.json'));

/** The scans of a tile store. */
function* storeSources(path: string, encoder: Encoder, model: string): Generator<Source> {
  const store = openTileStore(path);
  checkIntensities(encoder, model, store);
  for (const scan of store.manifest.scans) {
    yield {
      name: scan.id,
      size: store.size,
      offsets: scan.tiles.map(({ offset }) => offset),
      tiles: (function* () {
        for (const index of scan.tiles.keys()) yield readTile(store, { scan, index });
      })(),
    };
  }
}

/** A scan in LPS orientation, in the values that an encoder takes. */
async function readScan(path: string, normalise: Normalisation, progress: Progress): Promise<Volume> {
  const stored = await readVolume(path);
  if (stored.resampled) progress.log(`${path}: ${stored.resampled}`);
  if (normalise === 'hu') {
    checkHounsfield(stored, path, true);
    const look = unlikeHounsfield(stored);
    if (look !== null)
      progress.log(`${path}: the encoder takes HU, but these values do not look like HU: ${look}`);
  }
  return normaliseVolume(orientLPS(stored), normalise, path);
}

function scanSource(path: string, volume: Volume, size: XYZ): Source {
  const offsets = tileOrigins(volume.size, { size, zBorder: 0, xyBorder: 0, reject: 'none' });
  if (offsets.length === 0)
    throw new UserError('input', {
      what: 'the scan is smaller than one tile',
      where: path,
      got: volume.size.join('×'),
      expected: `at least ${size.join('×')} voxels`,
    });
  return {
    name: path,
    size,
    offsets,
    tiles: (function* () {
      for (const offset of offsets) yield cutTile(volume, offset, size);
    })(),
  };
}

/** Encodes an empty tile: what the model says against its size is said once, before any scan is read. */
async function tryTile(encoder: Encoder, [x, y, z]: XYZ): Promise<void> {
  const bytes = x * y * z * (Int16Array.BYTES_PER_ELEMENT + Float32Array.BYTES_PER_ELEMENT);
  if (bytes > memoryLimitBytes())
    throw new UserError('usage', {
      what: 'a tile of this size does not fit in memory',
      where: '--size',
      got: `${x}×${y}×${z} voxels`,
    });
  await encoder.encode(new Int16Array(x * y * z), [1, z, y, x]);
}

/**
 * Feature vectors of scans and tiles. Scans are brought into LPS orientation, normalised as the model says, and cut into
 * the tiles that it was trained on. A scan that cannot be read is reported and does not stop the others.
 * @throws UserError when the model is no encoder, the device is not to be had, the size of the tiles does not suit the model, an input does not exist, or the result cannot be written
 * @example
 * await embed({ model: 'encoder/encoder.onnx', input: ['scans'], out: 'features.npy' });
 */
export async function embed(options: EmbedOptions): Promise<EmbedSummary> {
  checkFeaturePath(options.out);
  const encoder = openEncoder(options.model, await openEngine(options.device ?? 'auto'), options.threads);
  const { reporter = silent, keepUids = false } = options;
  const stores = options.input.filter(isStore);
  const others = options.input.filter((path) => !isStore(path));
  const scans =
    others.length > 0 ? await findScans(others, { keepUids, passedOver: (line) => reporter.log(line) }) : [];
  const size = options.size ?? encoder.tile;
  if (scans.length > 0 && !size)
    throw new UserError('usage', {
      what: 'the model does not record the image size it was trained on',
      where: options.model,
      fix: 'give --size',
    });

  const rows: FeatureRow[] = [];
  const failures: { source: string; message: string }[] = [];
  const progress = reporter.start({ label: 'embed', total: scans.length + stores.length, unit: 'inputs' });
  try {
    if (scans.length > 0) await tryTile(encoder, size!);
    makeFolder(dirname(options.out));
    for (const [done, path] of [...stores, ...scans].entries()) {
      try {
        const sources =
          done < stores.length
            ? storeSources(path, encoder, options.model)
            : [scanSource(path, await readScan(path, encoder.normalise, progress), size!)];
        for (const source of sources)
          rows.push(
            ...(await embedSource(encoder, source, options.per ?? (done < stores.length ? 'tile' : 'scan'))),
          );
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        failures.push({ source: path, message: error.message });
        progress.log(error.message);
      }
      progress.update(done + 1);
    }
  } finally {
    progress.stop();
    await encoder.release();
  }
  if (rows.length === 0)
    throw new UserError('input', {
      what:
        failures.length > 0
          ? 'none of the inputs could be embedded (see above)'
          : 'there are no scans to embed',
      where: options.input.join(', '),
    });
  const files = await writeFeatures(options.out, rows);
  return { files, rows: rows.length, dimensions: rows[0]!.features.length, failures };
}
