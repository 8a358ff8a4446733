import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { type Job, type Launcher, launchers, NO_MPI, startRanks } from '../distributed/mpirun.js';
import { type Finished, lastJson } from './cli.js';

const STEPS = 12;
// Adam's first steps take the sign of each gradient, and that of the smallest ones is chance.
const SETTINGS = [
  ...['optimizer.name=sgd', 'learningRate=0.01'],
  // With seed 1, two ranks are 4e-5 from one in a momentum: presumably rounding decides in a pool which of two values is larger.
  ...[
    'seed=2',
    'workers=0',
    'whole=16x8x8',
    'network.levels=1',
    'network.width=2',
    'batch=12',
    'microBatch=1',
  ],
  ...[
    `steps=${STEPS}`,
    'validation.every=6',
    'checkpoints.every=3',
    'checkpoints.keepLogSpaced=0',
    'threads=1',
  ],
];
const folder = temporaryFolder();
const data = join(folder, 'tiles');
const run = (name: string) => join(folder, name);
const line = (name: string, ...more: readonly string[]) => [
  ...['pretrain', '--data', data, '--out', run(name)],
  ...SETTINGS.flatMap((setting) => ['--set', setting]),
  ...more,
];
const tensorsOf = (name: string) => loadCheckpoint(checkpointPath(run(name), 'last')).tensors;

const lossesOf = (name: string) =>
  readMetrics(join(run(name), 'metrics.jsonl')).map(({ loss, validationLoss }) => loss ?? validationLoss!);

/** Losses and state are those of one rank with the joint batch, but for the order of sums. */
function expectAsOne(name: string, one = 'one', digits = 5): void {
  const [found, expected] = [lossesOf(name), lossesOf(one)];
  expect(found).toHaveLength(expected.length);
  for (const [i, loss] of expected.entries())
    expect(Math.abs(found[i]! - loss), `loss ${i}`).toBeLessThan(10 ** -digits);
  const state = tensorsOf(name);
  for (const [tensor, { data: values }] of tensorsOf(one)) {
    const other = state.get(tensor)!.data as Float32Array;
    const differences = (values as Float32Array).map((value, i) => Math.abs(value - other[i]!));
    expect(Math.max(...differences), tensor).toBeLessThan(10 ** -digits);
  }
}

/** Waits until a job's run has made a step. */
async function reached(job: Job, name: string, step: number): Promise<void> {
  const metrics = join(run(name), 'metrics.jsonl');
  let ended: Finished | undefined;
  job.finished.then((result) => {
    ended = result;
  });
  while (!existsSync(metrics) || !readFileSync(metrics, 'utf8').includes(`"step":${step},`)) {
    if (ended) throw new Error(`the job has ended: ${ended.stderr}`);
    await sleep(20);
  }
}

/** The process of a rank that trains a run, by its command line and its environment. */
function pidOf(rank: number, out: string): number {
  const found = readdirSync('/proc').find((entry) => {
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, 'latin1');
      const environment = readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0');
      return (
        command.startsWith(process.execPath) &&
        command.includes(out) &&
        environment.some((entry) => /^(OMPI_COMM_WORLD|PMI)_RANK=/.test(entry) && entry.endsWith(`=${rank}`))
      );
    } catch {
      return false; // gone meanwhile, or no process
    }
  });
  return Number(found);
}

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  await pretrain({ data, out: run('one'), config: fromSettings(SETTINGS, {}) });
});

const jobs: { launcher: Launcher; name: string; ranks: number }[] = launchers.flatMap((launcher, i) =>
  (i === 0 ? [2, 4] : [3]).map((ranks) => ({
    ...{ launcher, ranks },
    name: launcher.isOpenMpi ? 'Open MPI' : 'MPICH',
  })),
);

if (launchers.length === 0) test('ranks over mpirun', (context) => context.skip(NO_MPI));

describe.skipIf(launchers.length === 0)('over mpirun', () => {
  test.each(jobs)(
    '$ranks ranks of $name train as one with the joint batch',
    async ({ launcher, name, ranks }) => {
      const out = `${name}-${ranks}`;
      const { code, stdout, stderr } = await startRanks(launcher, [{ ranks, line: line(out, '--json') }])
        .finished;
      expect(code, stderr).toBe(0);
      expect(stdout.trim().split('\n')).toHaveLength(1);
      expect(lastJson({ stdout })).toMatchObject({ ending: 'finished', step: STEPS, ranks });
      expect(stderr).toContain(`${ranks} ranks on 1 host, ${name}`);
      expect(stderr.match(/step 0: validation/g)).toHaveLength(1);
      expectAsOne(out);
    },
  );

  test('with synchronised normalisation, the run is that of one process', async () => {
    const whole = ['--set', 'microBatch=null', '--set', 'steps=4'];
    const job = startRanks(launchers[0]!, [
      { ranks: 2, line: [...line('synchronised', '--sync-norm'), ...whole] },
    ]);
    const { code, stderr } = await job.finished;
    expect(code, stderr).toBe(0);
    const config = fromSettings([...SETTINGS, 'microBatch=null', 'steps=4'], {});
    await pretrain({ data, out: run('whole'), config });
    expectAsOne('synchronised', 'whole', 4);
  });

  test('a killed rank ends the job; another number of ranks goes on with it', async () => {
    const job = startRanks(launchers[0]!, [{ ranks: 2, line: line('killed') }]);
    await reached(job, 'killed', 4);
    process.kill(pidOf(1, run('killed')), 'SIGKILL');
    const killed = performance.now();
    const { code } = await job.finished;
    expect(performance.now() - killed).toBeLessThan(20_000);
    expect(code).not.toBe(0);
    const { step } = loadCheckpoint(checkpointPath(run('killed'), 'last')).state;
    expect(step).toBeGreaterThanOrEqual(3);
    expect(step).toBeLessThan(STEPS);
    const again = await startRanks(launchers[0]!, [{ ranks: 3, line: line('killed', '--resume') }]).finished;
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain(`resuming from step ${step}`);
    expectAsOne('killed');
  });

  test('a signal to one rank stops all after the same step, saved', async () => {
    const job = startRanks(launchers[0]!, [{ ranks: 2, line: line('stopped', '--json') }]);
    await reached(job, 'stopped', 2);
    process.kill(pidOf(1, run('stopped')), 'SIGTERM');
    const { code, stdout } = await job.finished;
    expect(code).toBe(130);
    const summary = lastJson({ stdout });
    expect(summary.ending).toBe('interrupted');
    expect(loadCheckpoint(checkpointPath(run('stopped'), 'last')).state.step).toBe(summary.step);
    expect(readdirSync(run('stopped'))).not.toContain('.lock');
    await pretrain({ out: run('stopped'), resume: true });
    expectAsOne('stopped');
  });

  test('ranks with other data or another seed are refused, and told apart', async () => {
    const { code, stderr } = await startRanks(launchers[0]!, [
      { ranks: 1, line: line('refused') },
      { ranks: 1, line: line('refused', '--seed', '3') },
    ]).finished;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/p2w: rank 0 on \S+: the ranks do not work on the same run/);
    expect(stderr).toContain('seed: 2 on rank 0, 3 on rank 1');
    expect(stderr.match(/p2w: /g)).toHaveLength(1);
    expect(readdirSync(run('refused'))).toEqual(['checkpoints']);
  });

  test('what goes wrong on one rank only is told with its name, and ends all', async () => {
    const { code, stderr } = await startRanks(launchers[0]!, [
      { ranks: 1, line: line('lost') },
      { ranks: 1, line: line('lost').with(2, join(folder, 'nowhere')) },
    ]).finished;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/p2w: rank 1 on \S+, \S+nowhere: there is no such folder of tiles/);
  });
});
