import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { pretrain } from '../../src/tasks/pretrain.js';
import { makeReport } from '../../src/tasks/report.js';
import { sampleStore, temporaryFolder } from '../data/tiles-sample.js';

const folder = temporaryFolder();
const [data, run] = ['tiles', 'run'].map((name) => join(folder, name)) as [string, string];

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  const settings = [
    'whole=16x8x8',
    'network.levels=2',
    'network.width=2',
    'batch=4',
    'threads=1',
    'validation.every=10',
    'checkpoints.keepLogSpaced=4',
  ];
  await pretrain({ data, out: run, settings, flags: { steps: 20 } });
});

describe('a report', () => {
  test('scores every kept checkpoint, and writes one self-contained page', async () => {
    const summary = await makeReport({ run, wholes: 6, parts: 3 });
    expect(summary.checkpoints.map(({ step }) => step)).toEqual([0, 5, 10, 20]);
    for (const scores of summary.checkpoints) {
      expect(scores.contrastiveLoss).toBeGreaterThan(5.66);
      expect(scores.contrastiveLoss).toBeLessThan(9);
      expect(scores.cosineAuc).toBeGreaterThanOrEqual(0);
      expect(scores.nearestNeighbour).toBeLessThanOrEqual(1);
    }
    // Noise has no structure: nothing predicts it better than the mean does.
    expect(summary.meanWholeMse).toBeGreaterThan(0.05);
    const html = readFileSync(summary.report, 'utf8');
    expect(html).toContain('<!doctype html>');
    expect(html).not.toMatch(/(?:src|href)="https?:/);
  });

  test('gives the same numbers again', async () => {
    const once = () =>
      makeReport({ run, wholes: 6, parts: 3 }).then(({ checkpoints, meanWholeMse }) => ({
        checkpoints,
        meanWholeMse,
      }));
    expect(await once()).toEqual(await once());
  });

  test('refuses a folder without a run, and tiles that have moved, in words', async () => {
    await expect(makeReport({ run: folder })).rejects.toThrow(/holds no run/);
    await expect(makeReport({ run, data: join(folder, 'nowhere') })).rejects.toThrow(/holds no tiles/);
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
  });
});
