import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { temporaryFolder } from './store/tiles-sample.js';

const LIDC = join(import.meta.dirname, '../../../shared/data/lidc_nodule_vois');

test.skipIf(!existsSync(LIDC))('all 792 crops of LIDC are read', async () => {
  const out = join(temporaryFolder(), 'store');
  const { failures, splits } = await prepareSamples({ task: 'ncs', input: LIDC, out, size: [32, 32, 16] });
  expect(failures).toEqual([]);
  expect(splits.train.samples + splits.validation.samples + splits.test.samples).toBe(792);
});
