/** Scans with balls, and stores of samples made of them. */
import { join } from 'node:path';
import { prepareSamples } from '../../../src/commands/prepare-samples.js';
import { BALL_COLUMNS, writeBalls } from './labelled-data.js';

/** Of the scans, which are somewhat larger than the samples. */
export const BALLS = { patients: 12, each: 2, size: [18, 16, 10] } as const;
/** Of the samples. */
export const SIZE = [16, 16, 8] as const;

/** Writes the scans to `raw`, and makes two stores of them: by the labels of their table, and by their masks. */
export async function writeBallStores(places: {
  readonly raw: string;
  readonly classified: string;
  readonly masked: string;
}): Promise<void> {
  const { raw, classified, masked } = places;
  await writeBalls(raw, BALLS);
  await prepareSamples({
    ...{ task: 'manifest', input: join(raw, 'table.csv'), out: classified, size: SIZE },
    columns: BALL_COLUMNS,
  });
  await prepareSamples({ task: 'manifest', input: raw, out: masked, size: SIZE, classes: ['ball'] });
}
