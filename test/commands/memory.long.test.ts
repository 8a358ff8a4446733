import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

test('1,000 steps leave the memory of the process flat', async () => {
  const folder = temporaryFolder();
  const [data, out] = [join(folder, 'tiles'), join(folder, 'run')];
  mkdirSync(data);
  await sampleStore(data);
  const memory: number[] = [];
  const settings = [
    'whole=16x8x8',
    'network.levels=2',
    'network.width=8',
    'batch=16',
    'validation.every=50',
    'checkpoints.keepLogSpaced=0',
  ];
  await pretrain({
    data,
    out,
    config: fromSettings(settings, { steps: 1200 }),
    interrupted: () => {
      memory.push(process.memoryUsage.rss());
      return false;
    },
  });
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
  const [early, late] = [median(memory.slice(200, 300)), median(memory.slice(1100))];
  console.log(
    `RSS after 200 steps ${(early / 1e6).toFixed(0)} MB, after 1,100 steps ${(late / 1e6).toFixed(0)} MB`,
  );
  expect(late).toBeLessThan(1.05 * early + 10e6);
});
