import type { ContrastiveBounds } from '../analysis/contrastive.js';
import type { CosineSeparation } from '../analysis/cosine.js';
import type { Correlation } from '../analysis/statistics.js';
import type { ProxyName } from '../data/proxies/names.js';

/** An 8-bit grey image, row by row from the top left. */
export interface GreyImage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** The middle slices of a volume. */
export type Slices = readonly [axial: GreyImage, coronal: GreyImage, sagittal: GreyImage];

/** A number that matters most, ready to print. */
export interface Headline {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
}

/** What one checkpoint is worth; MSE in [0, 1] intensities, the last two as fractions. */
export interface CheckpointScores {
  readonly step: number;
  readonly validationMse: number;
  readonly contrastiveLoss: number;
  readonly nearestNeighbour: number;
  readonly cosineAuc: number;
}

/** One validation whole, what the network was given of it (a part, or a corrupted copy), and what it made of that. */
export interface Sample {
  readonly name: string;
  readonly whole: Slices;
  readonly part: Slices;
  /** In the order of the steps; the same steps for every sample. */
  readonly reconstructions: readonly {
    readonly step: number;
    readonly mse: number;
    readonly slices: Slices;
  }[];
}

/** Everything a report shows. Lists may be empty and fields null where a run has not come so far. */
export interface ReportData {
  readonly title: string;
  readonly proxy: ProxyName;
  /** Whether it was trained on the contrastive loss. */
  readonly isContrastive: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly headline: readonly Headline[];
  readonly training: readonly { readonly step: number; readonly loss: number }[];
  readonly validation: readonly { readonly step: number; readonly mse: number }[];
  /** Of the steps. */
  readonly learningRates: readonly { readonly step: number; readonly learningRate: number }[];
  /** Validation MSE of always answering with the mean of the training wholes. */
  readonly meanWholeMse: number | null;
  readonly checkpoints: readonly CheckpointScores[];
  readonly contrastiveBounds: ContrastiveBounds | null;
  /** Of the reconstruction loss with the contrastive loss over the checkpoints. */
  readonly correlation: Correlation | null;
  readonly cosine: {
    readonly before: CosineSeparation;
    readonly after: CosineSeparation;
    readonly beforeLabel: string;
    readonly afterLabel: string;
  } | null;
  readonly samples: readonly Sample[];
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly machine: Readonly<Record<string, string>>;
  readonly timing: Readonly<Record<string, string>>;
}
