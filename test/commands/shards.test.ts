import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { classify } from '../../src/commands/classify.js';
import { type EmbedOptions, embed } from '../../src/commands/embed.js';
import { openJournal } from '../../src/commands/journal.js';
import { prepare, prepareShard } from '../../src/commands/prepare.js';
import { prepareSamples, prepareSamplesShard } from '../../src/commands/prepare-samples.js';
import { segment } from '../../src/commands/segment.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { acquireLock } from '../../src/lock.js';
import { parseShard, type Shard, shardOf } from '../../src/shard.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeTarget, writeThresholds } from '../inference/models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const [encoder, segmenter, classifier] = ['encoder', 'thresholds', 'classifier'].map((n) =>
  at(`${n}.onnx`),
) as [string, string, string];
const COUNT = 3;
const shards = Array.from({ length: COUNT }, (_, i): Shard => ({ index: i + 1, count: COUNT }));

beforeAll(async () => {
  mkdirSync(at('scans'));
  for (let i = 0; i < 5; i++)
    await writeNifti(at('scans', `scan${i}.nii.gz`), noiseVolume([24, 20, 8 + 2 * i], i));
  writeFileSync(at('scans', 'broken.nii'), 'no scan');
  writePretrained(encoder, 'encoder');
  writeThresholds(segmenter);
  writeTarget(classifier, 'classification', ['small', 'large']);
});

/** Everything below a folder but hidden files, by name. */
const contentOf = (path: string) =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((file) => [file.slice(path.length), readFileSync(file, 'latin1')]),
  );

describe('shards', () => {
  test('have every item of a list once, in order, in parts of nearly the same length', () => {
    const list = Array.from({ length: 11 }, (_, i) => i);
    for (const count of [1, 2, 4, 11, 20]) {
      const parts = Array.from({ length: count }, (_, i) => shardOf(list, { index: i + 1, count }));
      expect(parts.flat()).toEqual(list);
      const lengths = parts.map((part) => part.length);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }
  });

  test('are written as i/N', () => {
    expect(parseShard('2/8')).toEqual({ index: 2, count: 8 });
    for (const text of ['0/8', '9/8', '2', '2/', '1/0', '2/8/1', '-1/8', '1.5/8', 'a/b'])
      expect(() => parseShard(text), text).toThrow(/--shard[\s\S]*for example 2\/8/);
  });

  test('of a folder keep out themselves, and who wants all of it; not each other', () => {
    mkdirSync(at('locked'));
    const held = shards.map((shard) => acquireLock(at('locked'), 'a test', shard));
    expect(() => acquireLock(at('locked'), 'a test', shards[1])).toThrow(/another process is using/);
    expect(() => acquireLock(at('locked'), 'a test')).toThrow(/another process is using/);
    for (const lock of held) lock.release();
    const whole = acquireLock(at('locked'), 'a test');
    expect(() => acquireLock(at('locked'), 'a test', shards[0])).toThrow(/another process is using/);
    whole.release();
    expect(readdirSync(at('locked'))).toEqual([]);
  });
});

test('a journal goes on, whatever its length', () => {
  const path = at('long.jsonl');
  const entry = (i: number) => String(i).repeat(3_000_000);
  const journal = openJournal<string>(path, { a: 1 });
  for (let i = 0; i < 8; i++) journal.add({ scan: `scan${i}`, place: 'here', files: [], entry: entry(i) });
  appendFileSync(path, '{"scan":"killed while it was wri');
  const again = openJournal<string>(path, { a: 1 });
  for (let i = 0; i < 8; i++) expect(again.find(`scan${i}`, []) === entry(i)).toBe(true);
  again.add({ scan: 'scan8', place: 'here', files: [], entry: 'last' });
  expect(openJournal<string>(path, { a: 1 }).find('scan8', [])).toBe('last');
});

describe('the union of all shards is what one process makes, byte for byte:', () => {
  const embedTo = (out: string, more: Partial<EmbedOptions> = {}) =>
    embed({ model: encoder, input: [at('scans')], out: at(out), threads: 1, ...more });

  test.each(['parquet', 'npy', 'jsonl'])('features as %s, after a kill too', async (format) => {
    mkdirSync(at(`one-${format}`));
    mkdirSync(at(`many-${format}`));
    const summary = await embedTo(`one-${format}/features.${format}`);
    const out = `many-${format}/features.${format}`;
    const parts = [];
    for (const shard of shards) parts.push(await embedTo(out, { shard }));
    expect(parts.map(({ files, rows }) => [files, rows])).toEqual([
      [[], 1],
      [[], 2],
      [[], 2],
    ]);
    expect(parts.map(({ failures }) => failures.length)).toEqual([1, 0, 0]);
    // The second was killed while it wrote its last scan, the third before it began.
    const journal = (i: number) => at(`${out}.unfinished.shard-${i}-of-3`);
    writeFileSync(journal(2), readFileSync(journal(2), 'utf8').slice(0, -20));
    rmSync(journal(3));
    if (format === 'npy') await embedTo(out, { shard: shards[1]! });
    expect(await embedTo(out)).toMatchObject({ rows: summary.rows, failures: summary.failures });
    expect(contentOf(at(`many-${format}`))).toEqual(contentOf(at(`one-${format}`)));
  });

  test('while a process works on a file of features, others of the same shard and of all shards are refused', async () => {
    const others: Promise<unknown>[] = [];
    const start = () => {
      for (const shard of [shards[0], shards[1], undefined])
        others.push(embedTo('busy/features.npy', shard && { shard }).catch(String));
      return { update: () => {}, log: () => {}, stop: () => {} };
    };
    await embedTo('busy/features.npy', { shard: shards[0]!, reporter: { start, log: () => {} } });
    const refused = expect.stringMatching(/another process is using this file[\s\S]*embed, process/);
    expect(await Promise.all(others)).toEqual([refused, expect.objectContaining({ rows: 2 }), refused]);
  });

  test('masks and their volumes', async () => {
    const segmentTo = (out: string, shard?: Shard) =>
      segment({ model: segmenter, input: [at('scans')], out: at(out), threads: 1, ...(shard && { shard }) });
    await segmentTo('one-masks');
    for (const shard of shards) await segmentTo('many-masks', shard);
    expect(Object.keys(contentOf(at('many-masks')))).not.toContain('/volumes.csv');
    expect(await segmentTo('many-masks')).toMatchObject({ scans: 5, kept: 5 });
    expect(contentOf(at('many-masks'))).toEqual(contentOf(at('one-masks')));
  });

  test('classes', async () => {
    const classifyTo = (out: string, shard?: Shard) =>
      classify({
        model: classifier,
        input: [at('scans')],
        out: at(out),
        threads: 1,
        ...(shard && { shard }),
      });
    await classifyTo('one.csv');
    for (const shard of shards) await classifyTo('many.csv', shard);
    await classifyTo('many.csv');
    expect(readFileSync(at('many.csv'), 'utf8')).toBe(readFileSync(at('one.csv'), 'utf8'));
    expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  test('tiles', async () => {
    const options = (out: string) => ({ input: [at('scans')], out: at(out), size: [8, 8, 8] as const });
    await prepare(options('one-tiles'));
    for (const shard of shards) await prepareShard(options('many-tiles'), shard);
    expect(Object.keys(contentOf(at('many-tiles')))).not.toContain('/manifest.json');
    await prepare(options('many-tiles'));
    expect(contentOf(at('many-tiles'))).toEqual(contentOf(at('one-tiles')));
  });

  test('samples', async () => {
    const rows = [0, 1, 2, 3, 4].map((i) => `scans/scan${i}.nii.gz,${i % 2 ? 'a' : 'b'},patient${i}`);
    writeFileSync(at('table.csv'), ['image,label,patient', ...rows].join('\n'));
    const options = (out: string) =>
      ({ task: 'manifest', input: at('table.csv'), out: at(out), size: [16, 16, 8] }) as const;
    await prepareSamples(options('one-samples'));
    for (const shard of shards) await prepareSamplesShard(options('many-samples'), shard);
    await prepareSamples(options('many-samples'));
    expect(contentOf(at('many-samples'))).toEqual(contentOf(at('one-samples')));
  });

  test('a shard of other options is refused', async () => {
    await embedTo('other.npy', { shard: shards[0]! });
    await expect(embedTo('other.npy', { shard: shards[1]!, overlap: 0.25 })).rejects.toThrow(
      /another model or other options/,
    );
    appendFileSync(at('other.npy.unfinished.shard-1-of-3'), '{"scan": \n');
    await expect(embedTo('other.npy')).rejects.toThrow(/finished scans is damaged/);
  });
});

test.each([
  ['prepare --input x --out y --shard 9', /^p2w: --shard: this must be a shard.*\n {2}got: {6}9\n/],
  [
    'pretrain --data x --out y --memory lots',
    /^p2w: --memory: this is not an amount of memory\n {2}got: {6}lots\n/,
  ],
])('%s: an option that cannot be read is an error of usage', async (line, said) => {
  const { code, stderr } = await p2wHere(line.split(' '));
  expect([code, stderr]).toEqual([2, expect.stringMatching(said)]);
});
