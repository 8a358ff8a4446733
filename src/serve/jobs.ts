/** What the service asks of its workers, and what they answer: plain data, sent between processes. */

import type { VoxelBox } from '../commands/query.js';
import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import type { ErrorFacts, ErrorKind } from '../errors.js';
import type { ModelKind } from '../inference/model-interface.js';

/** Formats of answers. */
export type Output = 'json' | 'npy' | 'nifti' | 'png';

/** What is done with a scan. */
export type ScanWork =
  | { readonly operation: 'embed'; readonly per: 'scan' | 'window'; readonly overlap: number }
  | { readonly operation: 'classify'; readonly per: 'scan' | 'window'; readonly overlap: number }
  | {
      readonly operation: 'segment';
      readonly overlap: number;
      readonly largestComponent: boolean;
      /** ml. */
      readonly minimumVolume: number;
    }
  | { readonly operation: 'reconstruct'; readonly overlap: number }
  | {
      readonly operation: 'search';
      /** How many are to be found. */
      readonly k: number;
      /** A part of the scan; null for all of it. */
      readonly box: VoxelBox | null;
      readonly pictures: boolean;
    }
  | { readonly operation: 'convert' };

/** Work on an upload, which lies in a folder of its own; the answer is written beside it. */
export interface Job {
  /** Name of a model. */
  readonly model: string;
  /** Of the one file that will do; null for any. */
  readonly sha256: string | null;
  readonly folder: string;
  /** Path of the uploaded file. */
  readonly upload: string;
  readonly work:
    | (ScanWork & {
        readonly output: Output;
        /** Which of several DICOM series. */
        readonly series: string | undefined;
      })
    /** A request of the KServe protocol. */
    | { readonly operation: 'infer'; readonly headerBytes: number | undefined };
}

/** What is sent: bytes, or where they are many a file in the folder of the job. */
export type Answer = {
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
} & ({ readonly bytes: Uint8Array } | { readonly file: string });

/** What is known of a tensor. −1 is any length. */
export interface TensorFacts {
  readonly name: string;
  readonly type: 'float32' | 'int16';
  readonly shape: readonly number[];
}

/** What is known of a model that is served. */
export interface ModelFacts {
  readonly name: string;
  readonly kind: ModelKind;
  /** Of the whole file, in hexadecimal. */
  readonly sha256: string;
  /** Voxels x, y, z of its windows. */
  readonly window: XYZ;
  /** Spacing of its images in mm; null for any. */
  readonly spacing: XYZ | null;
  readonly normalise: Normalisation;
  /** What the file says of itself, but for its self-test. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of a classifier or segmenter. */
  readonly classes: readonly string[];
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  /** Largest relative RMS difference to the results at export; null for a model without a self-test. */
  readonly selfTestError: number | null;
}

/** A model file as a worker opens it. */
export interface ModelFile {
  readonly name: string;
  readonly path: string;
  /** What it must be, for those who use it; anything without it. */
  readonly kind?: ModelKind;
}

/** An index as it was when the service opened it. */
export interface IndexSource {
  readonly folder: string;
  /** Changes when it is written again. */
  readonly state: string;
}

/**
 * Jobs that a worker is given at once: as many as windows that it computes together, and at least two. While one reads or writes, the
 * other computes, and a short one need not wait for a long one, as their windows take turns.
 */
export const jobsAtOnce = (batch: number): number => Math.max(batch, 2);

/** What a worker is told at its start. */
export interface WorkerSettings {
  readonly models: readonly ModelFile[];
  /** What is searched; null without it. */
  readonly index: IndexSource | null;
  readonly device: string;
  readonly threads: number;
  /** Windows that are computed at once; null has the worker measure what is fastest. */
  readonly batch: number | null;
  /** Most bytes that an upload may unpack to. */
  readonly maxUnpackedBytes: number;
  /** Memory that the work of all workers may take. */
  readonly memoryBytes: number;
  /** How many workers there are. */
  readonly workers: number;
}

export type ToWorker =
  | { readonly type: 'start'; readonly settings: WorkerSettings }
  | { readonly type: 'job'; readonly id: number; readonly job: Job }
  | { readonly type: 'cancel'; readonly id: number };

/** How a job ended. */
export type Outcome =
  | { readonly answer: Answer; readonly model: string }
  | { readonly cancelled: true }
  /** What it needs is not here, or not any more. */
  | { readonly unavailable: string }
  | { readonly kind: ErrorKind; readonly facts: ErrorFacts }
  /** A defect of ours; the text is for the log. */
  | { readonly defect: string };

export type FromWorker =
  | {
      readonly type: 'ready';
      readonly models: readonly ModelFacts[];
      readonly batch: number;
      readonly runtime: string;
    }
  | { readonly type: 'refused'; readonly kind: ErrorKind; readonly facts: ErrorFacts }
  | {
      readonly type: 'done';
      readonly id: number;
      readonly outcome: Outcome;
      /** Sizes of the batches that were computed since the last one. */
      readonly batches: readonly number[];
      /** Memory of the worker (resident set). */
      readonly rssBytes: number;
    };
