/** What the page asks of its worker, and what it answers. */
import type { Grid, Volume, XYZ } from '../src/data/scan/volume.js';
import type { WebProvider } from '../src/runtime/web.js';
import type { ServedModel } from './served-model.js';

/** A box in a scan with its axes along left, posterior, superior: its faces, in voxels from the first face of the scan. */
export interface Box {
  readonly low: XYZ;
  readonly high: XYZ;
}

/** An image in [0, 1], x fastest. */
export interface Picture {
  readonly size: XYZ;
  readonly voxels: Float32Array;
}

/** A part of a scan, and the whole around it. */
export interface Cut {
  /** What the network is given: the part, cut and resized as in training, in the values that it takes. */
  readonly input: Int16Array | Float32Array;
  readonly part: Picture;
  /** What there is in truth where the network draws. */
  readonly whole: Picture;
  readonly wholeBox: Box;
  /** Where the whole lies in the patient. */
  readonly grid: Grid;
}

export interface Encoded {
  readonly features: Float32Array;
  /** Loading the runtime and the model included. */
  readonly seconds: number;
  readonly threads: number;
}

/** Questions, and their answers. */
export interface Calls {
  /** Reads a scan, which all other questions are about. Its axes are along left, posterior, superior. */
  read: { ask: { readonly file: File }; answer: Volume };
  encode: {
    ask: { readonly model: ServedModel; readonly bytes: Uint8Array; readonly provider: WebProvider };
    answer: Encoded;
  };
  /** Packs the files of a scan into a zip archive. */
  pack: { ask: { readonly files: readonly File[] }; answer: { readonly archive: Blob } };
  cut: { ask: { readonly box: Box; readonly model: ServedModel }; answer: Cut };
}

export type Question = {
  [Name in keyof Calls]: { readonly id: number; readonly name: Name; readonly ask: Calls[Name]['ask'] };
}[keyof Calls];

export type Reply =
  | { readonly id: number; readonly answer: Calls[keyof Calls]['answer'] }
  | { readonly id: number; readonly problem: string }
  | { readonly id: number; readonly done: number; readonly total: number };
