import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { finetune } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { writeBalls } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const out = join(temporaryFolder(), 'runs');
// Somebody deletes the folder as soon as the first trial has ended.
vi.mock(import('../../src/train/train-run.js'), async (original) => {
  const actual = await original();
  return {
    ...actual,
    withRunLock: async (run, purpose, work) => {
      const result = await actual.withRunLock(run, purpose, work);
      if (run.endsWith('trial-01')) rmSync(out, { recursive: true });
      return result;
    },
  };
});

test('a folder that vanishes between two trials is not made again: the first one is lost, and that is said', async () => {
  const folder = temporaryFolder();
  const [input, data] = [join(folder, 'raw'), join(folder, 'samples')];
  await writeBalls(input, { patients: 16, each: 1, size: [16, 16, 8] });
  await prepareSamples({ task: 'manifest', input, out: data, size: [16, 16, 8] });
  const config = { network: { levels: 2, width: 2 }, batch: 2, threads: 1, workers: 0, steps: 1 };
  await expect(finetune({ data, out, trials: 2, config })).rejects.toThrow(
    /this does not exist: it never did, or it was deleted or moved/,
  );
  expect(existsSync(out)).toBe(false);
});
