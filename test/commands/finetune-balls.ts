/** Fine-tuning on scans with balls: their samples, weights to begin from, and the options of short trainings. */
import { join } from 'node:path';
import type { FinetuneOptions } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore } from '../data/store/tiles-sample.js';

const SETTINGS = [
  'network.levels=2',
  'network.width=4',
  'network.norm.momentum=0.5',
  'batch=6',
  'threads=1',
  'workers=0',
  'hidden=8',
  'validation.every=10',
  'checkpoints.every=7',
];

/** Paths in a folder, and the options to train a classifier or a segmenter there, of what {@link prepareBalls} makes. */
export function trainingsIn(folder: string) {
  const at = (name: string) => join(folder, name);
  const options = (out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
    data: at('classified'),
    out: at(out),
    ...more,
    config: fromSettings(SETTINGS, { steps: 30, ...more.config }),
  });
  const segment = (out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
    ...options(out, { ...more, config: { hidden: null, ...more.config } }),
    data: at('masked'),
  });
  return { at, options, segment };
}

/** Writes scans of 16 patients to `raw` in a folder, and their samples to `classified`, with labels, and to `masked`, with masks. */
export async function prepareBalls(folder: string): Promise<void> {
  const { at } = trainingsIn(folder);
  await writeBalls(at('raw'), { patients: 16, each: 2, size: [16, 16, 8] });
  const common = { task: 'manifest', size: [16, 16, 8], valFraction: 0.15 } as const;
  await prepareSamples({
    ...{ ...common, input: at('raw/table.csv'), out: at('classified') },
    columns: BALL_COLUMNS,
    classes: ['none', 'ball'],
  });
  await prepareSamples({ ...common, input: at('raw'), out: at('masked'), classes: ['ball'] });
}

/** Writes tiles to `tiles` in a folder, and pre-trains an encoder on them in `pretrained`. */
export async function pretrainOnTiles(folder: string): Promise<void> {
  const { at } = trainingsIn(folder);
  await sampleStore(at('tiles'));
  await pretrain({
    data: at('tiles'),
    out: at('pretrained'),
    config: {
      whole: [16, 8, 8],
      network: { levels: 2, width: 4 },
      batch: 4,
      threads: 1,
      workers: 0,
      steps: 4,
    },
  });
}
