import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { inspect } from '../../src/commands/inspect.js';
import { type PretrainOptions, pretrain } from '../../src/commands/pretrain.js';
import { formatPretrain } from '../../src/commands/pretrain-summary.js';
import { makeReport } from '../../src/commands/report.js';
import { fromSettings } from '../../src/config/settings.js';
import { UserError } from '../../src/errors.js';
import { randomStream } from '../../src/random.js';
import { checkpointPath, listCheckpoints, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { readRun } from '../../src/runs/run.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w, startP2w } from './cli.js';

/**
 * A network of a few thousand weights on noise: steps take milliseconds. To start a thread from its sources takes longer than
 * the steps do: the tests of threads ask for them, and the built command line has one.
 */
const SETTINGS = [
  'workers=0',
  'whole=16x8x8',
  'network.levels=2',
  'network.width=2',
  'batch=4',
  'threads=1',
  'validation.every=10',
  'checkpoints.every=5',
  'checkpoints.keepLogSpaced=5',
];
const BUILT = [...SETTINGS, 'workers=1'].flatMap((setting) => ['--set', setting]);
const folder = temporaryFolder();
const data = join(folder, 'tiles');
const run = (name: string) => join(folder, name);
const options = (name: string, more: Partial<PretrainOptions> = {}): PretrainOptions => ({
  data,
  out: run(name),
  ...more,
  config: fromSettings(SETTINGS, { steps: 20, ...more.config }),
});

/** All files of a run that must not differ between two runs of one seed. */
function resultOf(name: string): Record<string, string> {
  const files = [
    'metrics.jsonl',
    ...readdirSync(join(run(name), 'checkpoints')).map((file) => join('checkpoints', file)),
  ];
  return Object.fromEntries(
    files.sort().map((file) => [file, readFileSync(join(run(name), file), 'latin1')]),
  );
}

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  await pretrain(options('reference'));
});

describe('pretrain', () => {
  test('trains: the loss falls, metrics and checkpoints are written', () => {
    const metrics = readMetrics(join(run('reference'), 'metrics.jsonl'));
    const losses = metrics.filter((m) => 'loss' in m).map((m) => m.loss!);
    expect(losses).toHaveLength(20);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    expect(metrics.filter((m) => 'validationLoss' in m).map((m) => m.step)).toEqual([0, 10, 20]);
    expect(listCheckpoints(run('reference')).map(({ step }) => step)).toEqual([0, 3, 5, 10, 20]);
    expect(loadCheckpoint(checkpointPath(run('reference'), 'last')).state.step).toBe(20);
    expect(readdirSync(join(run('reference'), 'events'))).toHaveLength(1);
  });

  test('tells how fast it was, and how much of the time it waited for data', async () => {
    // Without threads, loading is waiting.
    const { dataWait, seconds, stepsPerSecond, samplesPerSecond } = await pretrain(
      options('waits', { config: { workers: 0 } }),
    );
    expect(dataWait).toBeGreaterThan(0);
    expect(dataWait).toBeLessThan(1);
    expect(stepsPerSecond).toBeGreaterThan(20 / seconds);
    expect(samplesPerSecond).toBeCloseTo(4 * stepsPerSecond, 6);
  });

  test('inspect says how far a run has come', async () => {
    expect(await inspect(run('reference'))).toMatchObject({
      kind: 'run',
      facts: { preset: 'tiny', wholeSize: '16×8×8', step: '20 of 20', checkpoints: [0, 3, 5, 10, 20] },
    });
  });

  test('the same seed gives the same bytes, whatever the number of loader threads', async () => {
    await pretrain(options('again', { config: { workers: 3 } }));
    expect(resultOf('again')).toEqual(resultOf('reference'));
    await pretrain(options('other', { config: { steps: 20, seed: 2 } }));
    expect(resultOf('other')['metrics.jsonl']).not.toBe(resultOf('reference')['metrics.jsonl']);
  });

  test('a run that ended before its first checkpoint is not in the way of another', async () => {
    cpSync(run('reference'), run('unbegun'), { recursive: true });
    rmSync(join(run('unbegun'), 'checkpoints'), { recursive: true });
    await pretrain(options('unbegun', { config: { workers: 2 } }));
    expect(resultOf('unbegun')).toEqual(resultOf('reference'));
  });

  test('interrupted after any step and resumed, it ends with the same bytes', async () => {
    let asked = 0;
    const first = await pretrain(options('interrupted', { interrupted: () => ++asked === 7 }));
    expect(first).toMatchObject({ ending: 'interrupted', step: 7 });
    const second = await pretrain(options('interrupted', { resume: true }));
    expect(second).toMatchObject({ ending: 'finished', step: 20 });
    expect(resultOf('interrupted')).toEqual(resultOf('reference'));
  });

  test('so it does in mixed precision, whose loss scale is part of the state, in any amount of memory', async () => {
    const config = { precision: 'amp', steps: 4 } as const;
    await pretrain(options('mixed', { config }));
    let asked = 0;
    await pretrain(options('mixed-halves', { config, interrupted: () => ++asked === 2 }));
    await pretrain(options('mixed-halves', { resume: true, config: { ...config, memory: 8e9 } }));
    const { 'config.json': mine, ...found } = resultOf('mixed-halves') as Record<string, unknown>;
    const { 'config.json': theirs, ...expected } = resultOf('mixed') as Record<string, unknown>;
    expect(found).toEqual(expected);
    const { tensors } = loadCheckpoint(checkpointPath(run('mixed'), 'last'));
    expect([...(tensors.get('optimizer.loss_scaling')!.data as Float32Array)]).toEqual([2 ** 16, 4, 0]);
  });

  test.each([
    ['the run', '.'],
    ['its metrics', 'metrics.jsonl'],
    ['its events', 'events'],
  ])('%s deleted while it trains is an error, and does not come back half', async (_, what) => {
    const name = `deleted-${what}`;
    const path = join(run(name), what);
    const interrupted = () => {
      rmSync(path, { recursive: true, force: true });
      return false;
    };
    const error = await pretrain(options(name, { interrupted })).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'UserError', kind: 'disk' });
    expect((error as Error).message).toMatch(/this does not exist/);
    expect(existsSync(path)).toBe(false);
  });

  test('a tuned run keeps its forms: resumed, it ends with the same bytes whatever was measured since', async () => {
    process.env.XDG_CACHE_HOME = join(folder, 'cache');
    const tuned = { config: { forms: 'tuned' } } as const;
    const formsOf = (name: string) => JSON.parse(readFileSync(join(run(name), 'config.json'), 'utf8')).forms;
    await pretrain(options('tuned', tuned));
    let asked = 0;
    await pretrain(options('tuned-interrupted', { ...tuned, interrupted: () => ++asked === 7 }));
    const chosen = formsOf('tuned-interrupted');
    expect(Object.keys(chosen).length).toBeGreaterThan(10);
    expect(chosen).toEqual(formsOf('tuned'));
    rmSync(process.env.XDG_CACHE_HOME!, { recursive: true });
    await pretrain(options('tuned-interrupted', { ...tuned, resume: true }));
    expect(formsOf('tuned-interrupted')).toEqual(chosen);
    expect(existsSync(process.env.XDG_CACHE_HOME!)).toBe(false);
    expect(resultOf('tuned-interrupted')).toEqual(resultOf('tuned'));
  });

  test('with accumulated gradients it follows the run without, and resumes', async () => {
    const config = { microBatch: 2 } as const;
    const whole = await pretrain(options('micro', { config }));
    let asked = 0;
    await pretrain(options('micro-interrupted', { config, interrupted: () => ++asked === 11 }));
    await pretrain(options('micro-interrupted', { config, resume: true }));
    expect(resultOf('micro-interrupted')).toEqual(resultOf('micro'));
    expect(whole.step).toBe(20);
    // Batch statistics are those of two samples instead of four, so the curves are near, not equal.
    const losses = (name: string) => readMetrics(join(run(name), 'metrics.jsonl')).filter((m) => 'loss' in m);
    const [micro, full] = [losses('micro').at(-1)!.loss!, losses('reference').at(-1)!.loss!];
    expect(Math.abs(micro / full - 1)).toBeLessThan(0.2);
  });

  test('with changed intensities and a contrastive term it trains, and resumes to the same bytes', async () => {
    const config = { intensity: 0.2, contrastive: { weight: 0.1 } } as const;
    await pretrain(options('beyond', { config }));
    let asked = 0;
    await pretrain(options('beyond-interrupted', { config, interrupted: () => ++asked === 9 }));
    await pretrain(options('beyond-interrupted', { config, resume: true }));
    expect(resultOf('beyond-interrupted')).toEqual(resultOf('beyond'));
    const [plain, paired] = ['reference', 'beyond'].map(
      (name) => loadCheckpoint(checkpointPath(run(name), 'last')).state.samples,
    );
    // Tiles, though two parts of each are contrasted.
    expect(paired).toBe(plain);
    const metrics = readMetrics(join(run('beyond'), 'metrics.jsonl'));
    const first = (name: string) => readMetrics(join(run(name), 'metrics.jsonl'))[0]!.validationLoss!;
    // The untrained network is the same, and so is what it is validated on: the error alone, intensities as they are.
    expect(first('beyond')).toBe(first('reference'));
    // −log of one in three is what four samples without any order have.
    const losses = metrics.filter((m) => 'loss' in m).map((m) => m.loss!);
    expect(losses[0]! - 0.1 * Math.log(3)).toBeLessThan(
      readMetrics(join(run('reference'), 'metrics.jsonl'))[1]!.loss! * 1.5,
    );
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  });

  test('what goes beyond the paper is refused where it makes no sense', async () => {
    const odd = options('odd', { config: { contrastive: { weight: 0.1 }, batch: 3 } });
    await expect(pretrain(odd)).rejects.toThrow(/two parts of each whole[\s\S]*even number/);
    const genesis = options('odd', { config: { intensity: 0.1, proxy: 'genesis' } });
    await expect(pretrain(genesis)).rejects.toThrow(/applies to parts, which Models Genesis does not have/);
  });

  test('a finished run goes on when more steps are asked for, and needs no --data', async () => {
    cpSync(run('reference'), run('longer'), { recursive: true });
    const before = readFileSync(join(run('longer'), 'sessions.jsonl'), 'utf8');
    expect(before.trimEnd().split('\n')).toHaveLength(1);
    const nothing = await pretrain({ out: run('longer'), resume: true });
    expect(formatPretrain(nothing)).toContain('nothing to do');
    expect(readFileSync(join(run('longer'), 'sessions.jsonl'), 'utf8')).toBe(before);
    const summary = await pretrain({ out: run('longer'), resume: true, config: { steps: 25 } });
    expect(summary).toMatchObject({ from: 20, step: 25 });
    expect(readMetrics(join(run('longer'), 'metrics.jsonl')).filter((m) => 'loss' in m)).toHaveLength(25);
    // Fewer are refused, and what was planned stays.
    await expect(pretrain({ out: run('longer'), resume: true, config: { steps: 10 } })).rejects.toThrow(
      /has made more steps than that already\n.*got: +steps 10\n.*at least 25/,
    );
    expect(readRun(run('longer')).config.steps).toBe(25);
  });

  test('resumed with the command that began it, also where that left the choice to the program', async () => {
    const config = { forms: 'auto', microBatch: null } as const;
    await pretrain(options('same', { preset: 'tiny', config }));
    expect(readRun(run('same')).config.forms).toBe('fast');
    const again = options('same', { preset: 'tiny', resume: true, config: { ...config, steps: 22 } });
    expect(await pretrain(again)).toMatchObject({ from: 20, step: 22 });
  });

  test('names the rate of each step, and what can be done next', async () => {
    const schedule = { warmup: 16, patience: 0, factor: 0.1, minDelta: 0.9 };
    const summary = await pretrain(options("it's warm", { config: { schedule, validation: { every: 4 } } }));
    const records = readMetrics(join(run("it's warm"), 'metrics.jsonl'));
    const rates = new Map(
      records.filter((r) => 'epoch' in r).map((r) => [r.step as number, r.learningRate as number]),
    );
    expect(rates.get(4)).toBeCloseTo(0.001 / 4, 8);
    for (const { step, learningRate } of records.filter((r) => 'validationLoss' in r))
      expect(learningRate).toBe(rates.get(Math.max(step as number, 1)));
    const quoted = `'${run("it's warm").replace("'", "'\\''")}'`;
    expect(formatPretrain(summary)).toContain(
      `next: p2w report --run ${quoted}, p2w export --run ${quoted} --out encoder`,
    );
  });

  test('a network that is evaluated by batch statistics is neither reported on nor exported, and not said to be', async () => {
    const config = { network: { norm: { evalStatistics: 'batch' } } } as const;
    const summary = await pretrain(options('by-batch', { config }));
    expect(summary.next).toEqual([]);
    await expect(makeReport({ run: run('by-batch') })).rejects.toThrow(
      /cannot be reported on: its output for one sample depends on the others/,
    );
  });

  test('20 kills at random moments leave nothing behind: the run ends with the same bytes', async () => {
    const steps = { config: { steps: 150 } };
    await pretrain(options('unkilled', steps));
    const args = [
      ...['pretrain', '--data', data, '--out', run('killed'), '--resume', '--steps', '150'],
      ...BUILT,
    ];
    const random = randomStream(1, 'kills');
    let killed = 0;
    while (killed < 20) {
      const { process: child, finished } = startP2w(args);
      // Some die while starting, some while training, some while saving.
      await Promise.race([sleep(random.between(200, 1000)), finished]);
      child.kill('SIGKILL');
      const { signal, code, stderr } = await finished;
      if (signal === 'SIGKILL') killed++;
      else {
        expect(code, stderr).toBe(0);
        // It was faster than its kill. Begin again, so that every kill hits a run at work.
        expect(resultOf('killed')).toEqual(resultOf('unkilled'));
        rmSync(run('killed'), { recursive: true });
      }
    }
    const last = await p2w(args);
    expect(last.code, last.stderr).toBe(0);
    expect(resultOf('killed')).toEqual(resultOf('unkilled'));
    expect(readdirSync(join(run('killed'), 'checkpoints')).filter((name) => name.endsWith('.tmp'))).toEqual(
      [],
    );
  });

  test('Ctrl-C finishes the step, saves, and says how to go on', async () => {
    const args = [
      'pretrain',
      '--data',
      data,
      '--out',
      run('ctrl-c'),
      '--steps',
      '100000',
      '--json',
      ...BUILT,
    ];
    const { process: child, finished } = startP2w(args);
    while (!existsSync(checkpointPath(run('ctrl-c'), 'last'))) await sleep(20);
    child.kill('SIGINT');
    const result = await finished;
    expect(result.code).toBe(130);
    expect(lastJson(result).ending).toBe('interrupted');
    expect(loadCheckpoint(checkpointPath(run('ctrl-c'), 'last')).state.step).toBe(lastJson(result).step);
    expect(result.stderr).toContain('finishing the step');
  });
});

describe('pretrain refuses, in words,', () => {
  const refused = async (given: PretrainOptions, kind: string, message: RegExp) => {
    const error = await pretrain(given).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).kind).toBe(kind);
    expect((error as UserError).message).toMatch(message);
  };

  test('a folder that holds a run', () =>
    refused(options('reference'), 'run', /this folder already contains a run[\s\S]*--resume/));

  test('a resumed run with another configuration', () =>
    refused(
      options('reference', { resume: true, config: { learningRate: 0.5 } }),
      'config',
      /settings it was started with[\s\S]*got: +learningRate: [\d.]+, now 0\.5/,
    ));

  test('a resumed run with another preset', () =>
    refused(
      options('reference', { resume: true, preset: 'paper' }),
      'config',
      /preset: "tiny", now "paper"/,
    ));

  test('an unknown key and an impossible value', async () => {
    await refused(options('bad', { config: fromSettings(['netwrk.width=2']) }), 'config', /netwrk/);
    await refused(options('bad', { config: { batch: 0 } }), 'config', /batch/);
    await refused(
      options('bad', { config: { whole: [20, 8, 8], network: { levels: 2, width: 2 } } }),
      'config',
      /multiples? of|integer multiple/,
    );
    expect(existsSync(run('bad'))).toBe(false);
  });

  test('sizes that the poolings do not divide', () =>
    refused(
      options('not-there', { config: { network: { levels: 4 } } }),
      'config',
      /whole[\s\S]*got: +16×8×8[\s\S]*multiples of 16/,
    ));

  test('a run that another process is using', async () => {
    const args = ['pretrain', '--data', data, '--out', run('busy'), '--steps', '100000', ...BUILT];
    const { process: child, finished } = startP2w(args);
    while (!existsSync(checkpointPath(run('busy'), 'last'))) await sleep(20);
    await refused(
      options('busy', { resume: true, config: {} }),
      'run',
      /another process is using this folder[\s\S]*process \d+/,
    );
    child.kill('SIGKILL');
    await finished;
  });

  test('a batch that does not fit into memory, and leaves no run behind', async () => {
    const config = { batch: 1e9 };
    await refused(options('vast', { config }), 'config', /memory[\s\S]*--set batch=\d+ fits/);
    expect(existsSync(run('vast'))).toBe(false);
  });

  test('weights that are not there, and leaves no folder behind', async () => {
    await refused(options('no-weights', { config: { init: run('none') } }), 'input', /none/);
    expect(existsSync(run('no-weights'))).toBe(false);
  });

  test('to go on where there is no run', async () => {
    const resume = { out: run('nothing-here'), resume: true };
    await refused(resume, 'run', /nothing-here: there is no run here to resume/);
    expect(existsSync(run('nothing-here'))).toBe(false);
  });

  test('tiles that changed after prepare, naming the scan', async () => {
    const changed = run('changed-tiles');
    cpSync(data, changed, { recursive: true });
    const shard = join(
      changed,
      'shards',
      readdirSync(join(changed, 'shards')).find((name) => name.startsWith('scan0'))!,
    );
    const bytes = readFileSync(shard);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(shard, bytes);
    await refused(
      options('on-changed', { data: changed }),
      'data',
      /scan0[\s\S]*has changed since it was prepared/,
    );
  });

  test('to go on with other tiles than those it was trained on', async () => {
    cpSync(run('reference'), run('elsewhere'), { recursive: true });
    await sampleStore(run('other-tiles'), (size, seed) => noiseVolume(size, seed + 10));
    await refused(
      options('elsewhere', { resume: true, data: run('other-tiles') }),
      'data',
      /not the data that this run was trained on/,
    );
  });

  test('a checkpoint of another network', async () => {
    cpSync(run('reference'), run('mixed'), { recursive: true });
    await pretrain(options('wider', { config: { network: { width: 3 } } }));
    copyFileSync(checkpointPath(run('wider'), 'last'), checkpointPath(run('mixed'), 'last'));
    await refused(
      options('mixed', { resume: true }),
      'run',
      /belongs to a different network[\s\S]*encoder\.0\.conv1\.weight is \[3,1,3,3,3\], not \[2,1,3,3,3\]/,
    );
  });

  test('a truncated checkpoint', async () => {
    cpSync(run('reference'), run('torn'), { recursive: true });
    const path = checkpointPath(run('torn'), 'last');
    writeFileSync(path, readFileSync(path).subarray(0, 5000));
    await refused(options('torn', { resume: true }), 'run', /not a complete safetensors file/);
  });

  test('to go on when the loss is no number any more; the last good checkpoint stands', async () => {
    const config = {
      optimizer: { name: 'sgd' },
      learningRate: 1e30,
      network: { norm: { evalStatistics: 'batch' } },
    } as const;
    await refused(
      options('diverged', { config }),
      'training',
      /the training has diverged[\s\S]*learningRate/,
    );
    expect(loadCheckpoint(checkpointPath(run('diverged'), 'last')).state.step).toBeLessThan(20);
  });
});
