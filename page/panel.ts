/** What panels have in common. */
import type { Grid, XYZ } from '../src/data/scan/volume.js';
import { make } from './dom.js';
import type { ScanWorker } from './scan-worker.js';
import type { ServedModel } from './served-model.js';
import type { Viewer } from './viewer.js';

/** A scan that is to be opened. */
export interface ScanSource {
  readonly name: string;
  /** Gives its files. @throws what `signal` says when another scan is to be opened meanwhile */
  files(signal: AbortSignal): Promise<readonly File[]>;
  /** What to look at, in mm, LPS; the middle without it. */
  readonly place?: XYZ | null;
}

/** A scan that has been opened. */
export interface OpenScan {
  readonly file: File;
  /** With its axes along left, posterior, superior. */
  readonly grid: Grid;
  readonly worker: ScanWorker;
  /** Ends all work on it. */
  readonly signal: AbortSignal;
}

export interface PageContext {
  readonly models: readonly ServedModel[];
  readonly viewer: Viewer;
}

export interface Panel {
  /** Forgets the scan before, with all that it shows of it, and takes the new one. */
  take(scan: OpenScan): void;
  /** What there is to do with it unasked; resolves when the next panel may ask for its share. */
  work?(): Promise<void> | void;
}

/** Lets a model be chosen where there are several. @returns what gives the one that is chosen */
export function modelChoice(
  section: HTMLElement,
  models: readonly ServedModel[],
  onChange: () => void,
): () => ServedModel {
  const options = models.map(({ name, kind }) =>
    make('option', { value: name }, name === kind ? name : `${name} · ${kind}`),
  );
  const select = make('select', {}, ...options);
  select.addEventListener('change', onChange);
  if (models.length > 1)
    section
      .querySelector('.models')!
      .append(make('label', { class: 'select' }, make('span', { class: 'hidden' }, 'Model'), select));
  return () => models[select.selectedIndex] ?? models[0]!;
}
