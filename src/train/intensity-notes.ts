import { existsSync } from 'node:fs';
import { configSchema } from '../config/pretraining.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { tileNormalisationOf, tileScaleOf } from '../data/samples/values.js';
import { isFolder } from '../files.js';
import { isFinetuneRun, readRun } from '../runs/run.js';
import { readSafetensorsHeader } from '../weights/safetensors-file.js';
import { headerValue, sourceOf } from './start-state.js';

interface Intensities {
  readonly normalise: string;
  readonly window: { readonly low: number; readonly high: number };
}

/** What a pre-training saw, as its run or the weights that were exported of it say. @throws UserError when these are damaged */
function pretrainedOn(source: string): Intensities | null {
  if (isFolder(source)) return isFinetuneRun(source) ? null : readRun(source).config;
  if (!existsSync(source) || !source.endsWith('.safetensors')) return null;
  const { proxy, normalise } = readSafetensorsHeader(source).metadata;
  // Other programs may mean something else by a window.
  if (!configSchema.shape.proxy.safeParse(proxy ?? '').success) return null;
  const window = headerValue(source, 'window', configSchema.shape.window);
  return normalise !== undefined && window ? { normalise, window } : null;
}

/**
 * What to say where samples bring other intensities to an encoder than it was pre-trained on.
 * @param from as `--init` names it
 * @returns nothing where they are the same, or nothing says what they were
 */
export function intensityNotes(from: string, format: Pick<SampleFormat, 'type' | 'window'>): string[] {
  const before = from === 'random' ? null : pretrainedOn(sourceOf(from));
  if (!before) return [];
  const { offset, scale } = tileScaleOf(format);
  const { low, high } = format.window ?? { low: 0, high: 1 };
  const rounded = (value: number) => Number(value.toPrecision(6));
  const described = (kind: string, [least, greatest]: readonly [number, number]) =>
    `${kind} from ${rounded(least)} to ${rounded(greatest)}`;
  const then = described(before.normalise, [before.window.low, before.window.high]);
  const now = described(tileNormalisationOf(format), [(low - offset) * scale, (high - offset) * scale]);
  return then === now
    ? []
    : [
        `${from} was pre-trained on intensities ${then}; these samples give it ${now}, which may make it useless`,
      ];
}
