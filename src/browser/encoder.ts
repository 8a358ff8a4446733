/** An exported encoder on scans, in a browser: the features are those of `p2w embed`. */
import { decodeModel } from '../../graphs/onnx/schema.js';
import { GraphError } from '../../graphs/onnx/types.js';
import { orientLPS } from '../data/scan/geometry.js';
import { checkHounsfield } from '../data/scan/hounsfield.js';
import type { Volume } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { EXPORTED, imageModelOf } from '../inference/image-model.js';
import { gridOfSpacing, readerOf } from '../inference/scan-grid.js';
import { windowVectors } from '../inference/window-vectors.js';
import type { Engine } from '../runtime/engine.js';

export interface ScanEncoderOptions {
  readonly engine: Engine;
  /** A model as `p2w export` writes it: an encoder or an autoencoder. */
  readonly model: Uint8Array;
  /** For messages. */
  readonly name?: string;
  /** 0, the default, leaves it to the engine. */
  readonly threads?: number;
}

/** An encoder, ready to run. */
export interface ScanEncoder {
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The features of a scan: the mean over all windows of the size that the encoder was trained on.
   * @param scan HU, or the values that the encoder normalises
   * @param onWindows is told how many windows are done, and how many there are
   * @throws UserError when the values cannot be what the model takes
   */
  embed(scan: Volume, onWindows?: (done: number, total: number) => void): Promise<Float32Array>;
  release(): Promise<void>;
}

function decoded(bytes: Uint8Array, path: string) {
  try {
    return decodeModel(bytes);
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new UserError('input', { what: error.message, where: path, expected: EXPORTED, cause: error });
  }
}

/**
 * Opens an encoder.
 * @throws UserError when the bytes are no such model, or it does not say how large its windows are
 * @example
 * const encoder = openScanEncoder({ engine, model: new Uint8Array(await response.arrayBuffer()) });
 * const features = await encoder.embed(await readScan(file));
 */
export function openScanEncoder(options: ScanEncoderOptions): ScanEncoder {
  const { engine, model: bytes, name: path = 'the model', threads = 0 } = options;
  const model = imageModelOf({ path, bytes, sha256: '', model: decoded(bytes, path) }, engine, threads);
  const window = model.size;
  if (!model.outputs.has('features') || window === null)
    throw new UserError('input', {
      what:
        window === null
          ? 'the model does not record the image size it was trained on'
          : 'the model has no output "features"',
      where: path,
      got: `a ${model.kind}`,
      expected: EXPORTED,
    });
  return {
    metadata: model.metadata,
    release: model.release,
    async embed(scan, onWindows) {
      if (model.normalise === 'hu') checkHounsfield(scan, 'the scan', true);
      const volume = orientLPS(scan);
      const grid = gridOfSpacing(volume, model.spacing);
      const read = readerOf(volume, model, 'the scan');
      const windows = { window, overlap: 0, batch: 1 };
      const vectors = await windowVectors(model, { volume, grid, read }, windows, 'features', onWindows);
      return vectors[0]!.values.map(
        (_, i) => vectors.reduce((sum, { values }) => sum + values[i]!, 0) / vectors.length,
      );
    },
  };
}
