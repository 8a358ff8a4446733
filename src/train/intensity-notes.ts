import type { SampleFormat } from '../data/samples/manifest.js';
import { tileNormalisationOf, tileScaleOf } from '../data/samples/values.js';
import { isFolder } from '../files.js';
import { isFinetuneRun, readRun } from '../runs/run.js';
import { sourceOf } from './start-state.js';

/**
 * What to say where samples bring other intensities to an encoder than it was pre-trained on.
 * @param from as `--init` names it
 * @returns nothing where they are the same, or nothing says what they were
 */
export function intensityNotes(from: string, format: Pick<SampleFormat, 'type' | 'window'>): string[] {
  const source = sourceOf(from);
  if (from === 'random' || !isFolder(source) || isFinetuneRun(source)) return [];
  const { normalise, window } = readRun(source).config;
  const { offset, scale } = tileScaleOf(format);
  const { low, high } = format.window ?? { low: 0, high: 1 };
  const rounded = (value: number) => Number(value.toPrecision(6));
  const described = (kind: string, [least, greatest]: readonly [number, number]) =>
    `${kind} from ${rounded(least)} to ${rounded(greatest)}`;
  const before = described(normalise, [window.low, window.high]);
  const now = described(tileNormalisationOf(format), [(low - offset) * scale, (high - offset) * scale]);
  return before === now
    ? []
    : [
        `${from} was pre-trained on intensities ${before}; these samples give it ${now}, which may make it useless`,
      ];
}
