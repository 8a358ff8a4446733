/** What an adapter makes of a data set of some layout: what can be read, one scan at a time. */
import type { XYZ } from '../volume.js';
import type { SampleFormat, SampleSplit } from './manifest.js';
import type { SampleContent } from './store.js';

/** A sample as an adapter gives it. */
export interface RawSample extends SampleContent {
  readonly id: string;
  readonly patient: string;
  readonly spacing: XYZ;
  /** Number of its class, from 0; null in segmentation. */
  readonly label: number | null;
}

/** A scan, or a file, with its samples. */
export interface SampleSource {
  /** Becomes the name of a file: letters, digits, `.`, `_`, `-` and `/`. */
  readonly id: string;
  /** Where the data set says so; else it is drawn by patients. */
  readonly split: SampleSplit | null;
  /** @throws UserError that says what is wrong with this scan */
  read(): Promise<readonly RawSample[]>;
}

export interface LabelledData {
  readonly format: SampleFormat;
  readonly sources: readonly SampleSource[];
  /** What is missing or cannot be used, known before anything is read. */
  readonly problems: readonly { readonly source: string; readonly message: string }[];
}
