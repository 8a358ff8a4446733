import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allReduceSeconds, estimate, formatScale, parseScale, trafficOf } from '../../src/bench/scale.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { countedEngine } from '../../src/runtime/counted-engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createHostStepper } from '../../src/train/host-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';
import { ROOT } from '../docs/document.js';
import { ranksHere } from '../train/ranks-here.js';

const document = readFileSync(join(ROOT, 'docs/cluster.md'), 'utf8');
const example = JSON.parse(/```json scale\.json\n([\s\S]*?)```/.exec(document)![1]!) as object;

describe('scale on paper', () => {
  test('the document shows what its file gives', () => {
    expect(document).toContain(`${formatScale(parseScale(example, 'scale.json'))}\n`);
  });

  test('a ring sends all but a share of the buffer twice', () => {
    const link = { bandwidth: 100, latency: 0.5 };
    expect(allReduceSeconds(1000, 1, link)).toBe(0);
    expect(allReduceSeconds(1000, 2, link)).toBe(10 + 2 * 0.5);
    expect(allReduceSeconds(1000, 4, link)).toBe(15 + 6 * 0.5);
  });

  test('a step moves the bytes that are predicted', async () => {
    const config = resolveConfig({ preset: 'tiny', config: { batch: 4, microBatch: 1, threads: 1 } });
    let reduced = 0;
    const [first, second] = ranksHere(2).map((ranks) => ({
      ...ranks,
      sum: (values: Float32Array) => {
        reduced = values.byteLength;
        return ranks.sum(values);
      },
    }));
    const feeds = batchFeeds(randomBatch({ ...config, batch: 1 }, 0));
    const bytes = await Promise.all(
      [first!, second!].map(async (ranks) => {
        const { engine, bytes } = countedEngine(nodeEngine);
        const workload = proxyWorkload(config, config.whole);
        const stepper = await createHostStepper(workload, config, engine, { ranks });
        const before = bytes();
        await stepper.run([[feeds, feeds]], 1e-3, 1);
        await stepper.release();
        return bytes() - before;
      }),
    );
    const { reduced: predicted, copied } = trafficOf('tiny', 1);
    expect(reduced).toBe(predicted);
    const moved = 2 * copied.eachMicroBatch + copied.once;
    expect(bytes).toEqual([moved, moved]);
  });

  test('what overlaps is not waited for, and more GPUs cost more where they wait', () => {
    const scale = parseScale(example, 'scale.json');
    const [one, eight] = scale.runs.map((run) => estimate(scale, run, trafficOf('paper', run.microBatch)));
    expect(eight!.hours).toBeGreaterThan(one!.hours / 8);
    expect(eight!.price).toBeGreaterThan(one!.price);
    const hidden = { ...scale, overlap: { value: 1, source: 'a test' } };
    expect(estimate(hidden, scale.runs[1]!, trafficOf('paper', 2)).allReduce).toBe(0);
  });

  test('runs that cannot be are refused by name', () => {
    const parse = (run: object) => () => parseScale({ ...example, runs: [run] }, 'scale.json');
    expect(parse({ gpus: 3, batch: 16, microBatch: 1 })).toThrow(/runs\.0: .*multiple of gpus/);
    expect(parse({ gpus: 2, batch: 16, microBatch: 1 })).toThrow(/runs\.0: .*need a link/);
  });
});
