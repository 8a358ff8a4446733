import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { valuesOf } from '../../src/data/samples/values.js';
import type { Normalisation } from '../../src/data/scan/normalise.js';
import { writeRun } from '../../src/runs/run.js';
import { intensityNotes } from '../../src/train/intensity-notes.js';
import { writeSafetensors } from '../../src/weights/safetensors-file.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();

/** A run that was pre-trained on some intensities. */
function runOf(name: string, settings: readonly string[]): string {
  const run = join(folder, name);
  mkdirSync(run);
  const config = resolveConfig({ preset: 'tiny', config: fromSettings(settings, {}) });
  writeRun(run, { data: 'tiles', tile: config.whole, config });
  return run;
}

test.each<[Normalisation]>([['hu'], ['minmax'], ['zscore']])(
  'samples prepared as tiles were, by %s, are nothing to speak of',
  (normalise) => {
    expect(intensityNotes(runOf(normalise, [`normalise=${normalise}`]), valuesOf(normalise))).toEqual([]);
  },
);

test('grey values of a known range are what tiles of them are', () => {
  const run = runOf('grey', ['normalise=minmax']);
  for (const high of [255, 15, 19])
    expect(intensityNotes(run, { type: 'int16', window: { low: 0, high } })).toEqual([]);
});

test('another window or normalisation is worth a note', () => {
  const run = runOf('soft tissue', ['window.low=-160', 'window.high=240']);
  expect(intensityNotes(run, valuesOf('hu'))[0]).toMatch(
    /soft tissue was pre-trained on intensities hu from -160 to 240; these samples give it hu from -1000 to 1000/,
  );
  expect(intensityNotes(run, valuesOf('zscore'))[0]).toMatch(/zscore from -3000 to 5000/);
  expect(intensityNotes('random', valuesOf('hu'))).toEqual([]);
  expect(intensityNotes('chest', valuesOf('hu'))).toEqual([]);
  expect(intensityNotes('chest', valuesOf('minmax'))[0]).toMatch(
    /chest was pre-trained on intensities hu from -1000 to 1000/,
  );
});

test.each<Record<string, string>>([
  { window: '7' },
  { window: 'hann', normalise: 'true' },
  { proxy: '1', window: '{}' },
])('what other programs say of their weights is none of ours: %j', (metadata) => {
  const path = join(folder, 'foreign.safetensors');
  const data = Float32Array.of(1, 2);
  writeSafetensors(path, [{ name: 'w', dtype: 'F32', shape: [2], data }], metadata);
  expect(intensityNotes(path, valuesOf('minmax'))).toEqual([]);
});
