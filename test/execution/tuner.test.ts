import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Pattern } from '../../graphs/forms/choice.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { openFormCache } from '../../src/execution/form-cache.js';
import type { timePattern } from '../../src/execution/form-times.js';
import { measuredForms, tuneForms, withChosenForms } from '../../src/execution/tuner.js';
import { silent } from '../../src/progress.js';
import type { Engine } from '../../src/runtime/engine.js';
import { proxyWorkload } from '../../src/train/proxy.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

/** An engine of standard operators only, on which nothing runs: times are injected. */
const engine: Engine = {
  name: 'test',
  provider: 'none',
  load: () => Promise.reject(new Error('nothing runs here')),
};
const config = resolveConfig({
  preset: 'tiny',
  config: { whole: [16, 8, 8], network: { levels: 2, width: 2 }, batch: 2 },
});
const workload = proxyWorkload(config, config.whole);

/** Times by the name of a form; `plain` takes 1 s, all others 2 s. Notes what was timed. */
function clock(timed: string[], special: (pattern: Pattern) => Record<string, number> = () => ({})) {
  return (async (pattern: Pattern) => {
    timed.push(pattern.key);
    return Object.fromEntries(
      Object.keys(pattern.graphs).map((form) => [
        form,
        [special(pattern)[form] ?? (form === 'plain' || form === 'chosen' ? 1 : 2)],
      ]),
    );
  }) as unknown as typeof timePattern;
}

let folder = '';
const saved = process.env.XDG_CACHE_HOME;
beforeEach(() => {
  folder = temporaryFolder();
  process.env.XDG_CACHE_HOME = folder;
});
afterEach(() => {
  process.env.XDG_CACHE_HOME = saved;
});

describe('tuning', () => {
  test('takes the fastest forms, and measures once a machine', async () => {
    const timed: string[] = [];
    expect(await measuredForms(workload, config, engine)).toBeNull();
    const table = await tuneForms(workload, config, engine, silent, clock(timed));
    expect(new Set(Object.values(table))).toEqual(new Set(['plain']));
    expect(timed.length).toBeGreaterThan(Object.keys(table).length);
    expect(new Set(timed).size).toBe(timed.length);
    timed.length = 0;
    expect(await tuneForms(workload, config, engine, silent, clock(timed))).toEqual(table);
    expect(await measuredForms(workload, config, engine)).toEqual(table);
    expect(timed).toEqual([]);
    await tuneForms(workload, { ...config, threads: 1 }, engine, silent, clock(timed));
    expect(timed.length).toBeGreaterThan(0);
  });

  test('keeps the fixed list where those that win call by call lose as a whole', async () => {
    const slower = clock([], () => ({ fast: 1, chosen: 1 }));
    const table = await tuneForms(workload, config, engine, silent, slower);
    expect(new Set(Object.values(table))).toEqual(new Set(['phases', 'flat', 'stacked', 'mask']));
    expect(await measuredForms(workload, config, engine)).toEqual(table);
  });

  test('is for long runs; others may ask for it, or for none', async () => {
    const formsOf = async (forms: 'auto' | 'fast' | 'plain', steps: number) =>
      (await withChosenForms(workload, { ...config, forms, steps }, engine, silent)).forms;
    expect(await formsOf('auto', 20)).toBe('fast');
    expect(await formsOf('fast', 100_000)).toBe('fast');
    expect(await formsOf('plain', 100_000)).toBe('plain');
    const table = await tuneForms(workload, config, engine, silent, clock([]));
    expect(await formsOf('auto', 100_000)).toEqual(table);
  });
});

describe('the cache of measurements', () => {
  const machine = { cpu: 'one', threads: 2 };
  const open = (log: string[], of = machine, where = folder) => openFormCache(of, (l) => log.push(l), where);
  const files = () => readdirSync(folder).filter((name) => name.endsWith('.json'));

  test('keeps what several processes add, machine by machine', () => {
    const log: string[] = [];
    const [one, other] = [open(log), open(log)];
    one.add({ a: { plain: 1 } });
    other.add({ b: { plain: 2 } });
    expect(one.read()).toEqual({ a: { plain: 1 }, b: { plain: 2 } });
    expect(open(log, { ...machine, threads: 1 }).read()).toEqual({});
    expect(log).toEqual([]);
  });

  test.each([
    ['broken', () => '{"machine": {'],
    ['of forms with other names', (text: string) => text.replace(/"names": \d+,/, '')],
    ['of another machine', (text: string) => text.replace('one', 'two')],
    ['of impossible times', (text: string) => text.replace('1', '-1')],
  ])('is made anew when the file is %s', (_, change) => {
    const log: string[] = [];
    open(log).add({ a: { plain: 1 } });
    const path = join(folder, files()[0]!);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
    expect(open(log).read()).toEqual({});
    expect(log).toEqual([expect.stringMatching(/forms-\w+\.json has no measurements for this machine/)]);
    open([]).add({ b: { plain: 2 } });
    expect(open(log).read()).toEqual({ b: { plain: 2 } });
  });

  test('stops nothing where it cannot be written', () => {
    const log: string[] = [];
    writeFileSync(join(folder, 'file'), '');
    const cache = open(log, machine, join(folder, 'file', 'below'));
    expect(cache.read()).toEqual({});
    cache.add({ a: { plain: 1 } });
    expect(log).toEqual([expect.stringMatching(/cannot be saved for the next run/)]);
  });
});
