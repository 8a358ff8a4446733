import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { analyze } from '../../src/commands/analyze.js';
import { embed } from '../../src/commands/embed.js';
import { finetune } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { mostThreads } from '../../src/machine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const threads = mostThreads() + 1;
const out = at('out.jsonl');

beforeAll(async () => {
  mkdirSync(at('tiles'));
  await sampleStore(at('tiles'));
  await writeBalls(at('raw'), { patients: 8, each: 1, size: [16, 16, 8] });
  const size = [16, 16, 8] as const;
  await prepareSamples({ task: 'manifest', input: at('raw'), out: at('samples'), size, valFraction: 0.4 });
});

test.each<[string, () => Promise<unknown>]>([
  ['pretrain', () => pretrain({ data: at('tiles'), out, config: { whole: [16, 8, 8], threads } })],
  ['finetune', () => finetune({ data: at('samples'), out, init: 'random', config: { threads } })],
  ['embed', () => embed({ model: 'none', input: [], out, threads })],
  ['analyze', () => analyze({ models: [{ path: 'a/b' }], data: at('tiles'), out, threads })],
])('%s refuses more threads than a machine can use, before it writes anything', async (_, run) => {
  const error = await run().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where: 'threads' } });
  expect((error as Error).message).toContain(`got:      ${threads}`);
  expect(existsSync(out)).toBe(false);
});

test.each([1.5, Number.NaN, -1])('an encoder runs in no %d threads', (wrong) => {
  expect(() => openEncoder('none', nodeEngine, wrong)).toThrow(
    new RegExp(`^threads: this [\\s\\S]*${wrong}[\\s\\S]*0 to ${mostThreads()}`),
  );
});
