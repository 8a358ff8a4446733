import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeVolume } from '../../src/data/scan/write-volume.js';
import type { UserError } from '../../src/errors.js';
import { writeFailure, writeResult } from '../../src/experiments/job-files.js';
import type { Job } from '../../src/experiments/jobs.js';
import { shards } from '../../src/experiments/peers.js';
import { type RunJobsOptions, runJobs } from '../../src/experiments/run-jobs.js';
import type { Reporter } from '../../src/progress.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { ranksHere } from '../train/ranks-here.js';

const folder = temporaryFolder();
const out = join(folder, 'out');
const scan = join(folder, 'scan.nii');
const job = (id: string, ...after: string[]): Job => ({ id, args: ['inspect', scan], after });
/** The first of two shards has a and c, the second has b, and d, which needs a job of the first. */
const JOBS = [job('a'), job('b'), job('c', 'b'), job('d', 'a')];

/** A reporter, and what was logged. */
function logging(): { reporter: Reporter; said: string[] } {
  const said: string[] = [];
  const log = (text: string) => void said.push(text);
  return { said, reporter: { log, start: () => ({ log, update: () => {}, stop: () => {} }) } };
}

const run = (options: Partial<RunJobsOptions>) => runJobs(JOBS, { out, processes: 1, ...options });
const shard = (index: number, options: Partial<RunJobsOptions> = {}) =>
  run({ shard: { index, count: 2 }, ...options });
const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: UserError) => error.message,
  );
const failures = () => readdirSync(join(out, 'jobs')).filter((name) => name.endsWith('.failed'));

beforeEach(() => {
  rmSync(out, { recursive: true, force: true });
  rmSync(scan, { force: true });
  mkdirSync(join(out, 'jobs'), { recursive: true });
  for (const done of JOBS.slice(1, 3)) writeResult(out, done, {});
});
afterEach(() => void vi.useRealTimers());

describe('shards', () => {
  test('end when a job fails elsewhere that they need, and go on once that is mended', async () => {
    const [own, other] = await Promise.all([shard(1), shard(2)].map(messageOf));
    expect(own).toMatch(/a training run of the experiment failed: a[\s\S]*no such file/);
    expect(other).toMatch(
      /a\.log: a training run of another shard failed, which this one needs: a[\s\S]*no such file/,
    );
    expect(failures()).toEqual(['a.failed']);

    await writeVolume(scan, noiseVolume([4, 4, 4], 1), 'nii');
    const [, all] = await Promise.all([shard(1), shard(2)]);
    expect([...all!.keys()].sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(failures()).toEqual([]);
  });

  test('end when what another one waits for has failed', async () => {
    // One shard has x, one has y, which needs it, and one has r, which needs that.
    const jobs = [job('x'), job('y', 'x'), job('w'), job('p', 'w'), job('q', 'w'), job('r', 'y')];
    const peers = shards(jobs, out, { index: 3, count: 3 });
    expect(peers.own.map(({ id }) => id)).toEqual(['w', 'r']);
    writeFailure(out, 'x', 'no more memory');
    const here = { results: new Map(), asked: false, waiting: [jobs[5]!], isIdle: true };
    await expect(peers.look(here)).rejects.toThrow(/another shard failed.*: x\n[\s\S]*no more memory/);
  });

  test('wait a moment for one that had failed before to be started again', async () => {
    await messageOf(shard(1));
    vi.useFakeTimers({ toFake: ['Date'] });
    const { said, reporter } = logging();
    const ended = messageOf(shard(2, { reporter }));
    await vi.waitFor(() => expect(said).toEqual(['waiting for others: a']), 10_000);
    vi.setSystemTime(Date.now() + 61_000);
    expect(await ended).toContain('another shard failed');
  });
});

describe('ranks', () => {
  test('divide the jobs, wait for those of others, and all know the results', async () => {
    await writeVolume(scan, noiseVolume([4, 4, 4], 1), 'nii');
    const { said, reporter } = logging();
    const results = await Promise.all(ranksHere(2).map((ranks) => run({ ranks, reporter })));
    for (const known of results) expect([...known!.keys()].sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(said.filter((text) => text.startsWith('starting'))).toEqual(['starting a', 'starting d']);
  });

  test('stop together when one of them is asked to', async () => {
    const { said, reporter } = logging();
    const results = await Promise.all(
      ranksHere(3).map((ranks) => run({ ranks, reporter, interrupted: () => ranks.rank === 1 })),
    );
    expect(results).toEqual([null, null, null]);
    expect(said).toEqual([]);
  });
});
