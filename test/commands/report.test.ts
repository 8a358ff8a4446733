import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { contrastiveLoss } from '../../src/analysis/contrastive.js';
import { cosineSeparation } from '../../src/analysis/cosine.js';
import { nearestNeighbourAccuracy } from '../../src/analysis/neighbours.js';
import { analysisParts } from '../../src/commands/analyse-run.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { makeReport } from '../../src/commands/report.js';
import { shownTiles } from '../../src/commands/shown-tiles.js';
import { fromSettings } from '../../src/config/settings.js';
import { validationBatches } from '../../src/data/loading/batches.js';
import { loadParts } from '../../src/data/proxies/parts2whole/part-batch.js';
import { openTileStore, readTile, tilesOf } from '../../src/data/store/tiles.js';
import { readSessions } from '../../src/execution/sessions.js';
import { resolveCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { readRun } from '../../src/runs/run.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createEvaluator, createFeatureExtractor } from '../../src/train/evaluator.js';
import { samplingOptions } from '../../src/train/proxy.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

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
    'workers=0',
    'validation.every=10',
    'checkpoints.keepLogSpaced=4',
  ];
  await pretrain({ data, out: run, config: fromSettings(settings, { steps: 20 }) });
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
    const samples = html.split('<figure class="sample"><figcaption>').slice(1);
    const store = openTileStore(data);
    expect(samples.map((text) => text.slice(0, text.indexOf('<')))).toEqual(
      shownTiles(store, readRun(run).config, 4).map((tile) => `scan1, tile ${store.validation[tile]!.index}`),
    );
    const errors = samples.map((text) => text.match(/MSE ([\d.]+)/)![1]);
    expect(new Set(errors).size).toBeGreaterThan(2);
    // The loss at every step, the waiting and the time of the session.
    expect(html).toMatch(/<path class="mark faint" d="[^"]{100,}/);
    const [session] = readSessions(run);
    expect(html).toContain(`${(100 * Number(session!.dataWait)).toFixed(1)} %`);
    expect(html).toContain(`${(Number(session!.seconds) / 60).toFixed(1)} min`);
  });

  test('its numbers are those of the checkpoints', async () => {
    const { checkpoints, meanWholeMse, text } = await makeReport({ run, wholes: 6, parts: 3 });
    const { config } = readRun(run);
    const store = openTileStore(data);
    const samples = analysisParts(store, config, 6, 3);
    const options = { wholeSize: config.whole, part: config.part };
    const batch = loadParts(tilesOf(store, 'validation'), options, samples, 0);
    // Made for batches of 18.
    const extractor = await createFeatureExtractor({ ...config, batch: 18 }, store.size, nodeEngine);
    for (const { step, nearestNeighbour, cosineAuc, contrastiveLoss: loss } of checkpoints) {
      const { tensors } = resolveCheckpoint(run, step);
      const values = await extractor.features(batch, tensors);
      const features = { wholes: 6, partsPerWhole: 3, dimensions: extractor.dimensions, values };
      expect(nearestNeighbour).toBeCloseTo(nearestNeighbourAccuracy(features), 3);
      expect(cosineAuc).toBeCloseTo(cosineSeparation(features, { pairs: 100, seed: config.seed }).auc, 3);
      const tests = { tests: 100, negatives: 5000, temperature: 0.7, seed: config.seed };
      expect(loss).toBeCloseTo(contrastiveLoss(features, tests), 3);
    }
    await extractor.release();

    const validated = new Map(
      readMetrics(join(run, 'metrics.jsonl')).map(({ step, validationLoss }) => [step, validationLoss]),
    );
    for (const step of [0, 10, 20])
      expect(checkpoints.find((c) => c.step === step)!.validationMse).toBeCloseTo(
        validated.get(step) as number,
        6,
      );

    // Wholes are tiles here, as they are: from HU to 0 … 1.
    const { low, high } = config.window;
    const [train, validation] = [store.train, store.validation].map((refs) =>
      refs.map((ref) =>
        Float64Array.from(
          readTile(store, ref),
          (hu) => (Math.min(Math.max(hu, low), high) - low) / (high - low),
        ),
      ),
    ) as [Float64Array[], Float64Array[]];
    const mean = train[0]!.map((_, i) => train.reduce((sum, whole) => sum + whole[i]!, 0) / train.length);
    const errors = validation.flatMap((whole) => [...whole.map((value, i) => (value - mean[i]!) ** 2)]);
    expect(meanWholeMse).toBeCloseTo(errors.reduce((a, b) => a + b) / errors.length, 5);

    const best = checkpoints.find(({ step }) => text.includes(`Best validation MSE, at step ${step}:`))!;
    expect(best.validationMse).toBe(
      Math.min(...[0, 10, 20].map((step) => checkpoints.find((c) => c.step === step)!.validationMse)),
    );
    for (const line of [
      `Best validation MSE, at step ${best.step}: ${best.validationMse.toFixed(4)}`,
      `mean whole, ${meanWholeMse.toFixed(4)}`,
      `Contrastive loss: ${best.contrastiveLoss.toFixed(3)} (${checkpoints[0]!.contrastiveLoss.toFixed(3)} at step 0)`,
      `1-NN accuracy: ${(100 * best.nearestNeighbour).toFixed(1)} %`,
      `Cosine AUC: ${best.cosineAuc.toFixed(3)} (${checkpoints[0]!.cosineAuc.toFixed(3)} at step 0)`,
    ])
      expect(text).toContain(line);
  });

  test('gives the same numbers again', async () => {
    const once = () =>
      makeReport({ run, wholes: 6, parts: 3 }).then(({ checkpoints, meanWholeMse }) => ({
        checkpoints,
        meanWholeMse,
      }));
    expect(await once()).toEqual(await once());
  });

  test('computes the errors anew where the tiles are others than those of the training', async () => {
    const others = join(folder, 'others');
    const store = await sampleStore(others, (size, seed) => noiseVolume(size, 10 + seed));
    const { checkpoints } = await makeReport({ run, data: others, wholes: 6, parts: 3 });
    const { config } = readRun(run);
    const evaluator = await createEvaluator(config, store.size, nodeEngine);
    const sampling = { ...samplingOptions(config), limit: config.validation.samples };
    for (const step of [0, 20]) {
      const batches = validationBatches(tilesOf(store, 'validation'), sampling);
      const { mse } = await evaluator.validate(batches, resolveCheckpoint(run, step).tensors);
      expect(checkpoints.find((c) => c.step === step)!.validationMse).toBeCloseTo(mse, 6);
    }
    await evaluator.release();
  });

  test('refuses a folder without a run, and tiles that have moved, in words', async () => {
    await expect(makeReport({ run: folder })).rejects.toThrow(/does not contain a run/);
    await expect(makeReport({ run, parts: 0 })).rejects.toThrow(/--parts: .*integer of at least 2/);
    await expect(makeReport({ run, wholes: 0.5 })).rejects.toThrow(/--wholes: .*integer of at least 2/);
    await expect(makeReport({ run, data: join(folder, 'nowhere') })).rejects.toThrow(
      /no such folder of tiles/,
    );
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
  });
});
