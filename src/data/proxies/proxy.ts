/** What every proxy task has, seen from the data: its batches, and how they are drawn and read. */
import type { RandomStream } from '../../random.js';
import type { XYZ } from '../scan/volume.js';
import type { Split, TileSource } from '../store/tile-source.js';
import type { HuWindow } from '../store/wholes.js';
import type { ProxyName } from './names.js';
import type { PartOptions } from './parts2whole/parts.js';

/** What is known of the samples for one run of a graph, whatever they are. */
export interface BatchFacts {
  readonly index: number;
  /** Samples N. */
  readonly size: number;
  /** Samples that count: the last validation batch is filled up with repeats. */
  readonly used: number;
  /** Voxels of a whole and of what the network is given, W × H × D. */
  readonly whole: XYZ;
  /** The tile of each sample. */
  readonly tiles: readonly number[];
}

/** What decides which samples there are. */
export interface SamplingOptions {
  readonly proxy: ProxyName;
  /** Samples in a batch. */
  readonly batch: number;
  /** Voxels of a whole; tiles are an integer multiple of it along each axis. */
  readonly wholeSize: XYZ;
  /** Parts of Parts2Whole. */
  readonly part: PartOptions;
  /** Of the images that Models Genesis corrupts. */
  readonly window: HuWindow;
  /** Most change of the parts' intensities; see {@link drawIntensity}. */
  readonly intensity: number;
  /** Samples 2i and 2i + 1 of a training batch are two parts of one whole. */
  readonly paired: boolean;
  readonly seed: number;
}

/** A tile, and the stream from which all that is random about it is drawn. */
export interface PlannedTile {
  readonly tile: number;
  readonly random: RandomStream;
}

/** A proxy task, seen from the data. */
export interface ProxyTask<B extends BatchFacts> {
  /** What its random streams are called. */
  readonly stream: string;
  /**
   * Reads planned tiles, and makes samples of them.
   * @throws UserError of kind `data` when one cannot be read
   */
  load(
    source: TileSource,
    split: Split,
    options: SamplingOptions,
    planned: readonly PlannedTile[],
    index: number,
  ): B;
}
