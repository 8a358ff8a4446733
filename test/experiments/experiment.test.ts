import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import type { Fig2Result } from '../../src/experiments/fig2.js';
import type { ExperimentResult } from '../../src/experiments/result.js';
import { compareAll, groupOf, nameOf } from '../../src/experiments/statistics.js';
import { acquireLock } from '../../src/lock.js';
import { readTable } from '../../src/tables/read.js';
import { lastJson, p2w, startP2w } from '../commands/cli.js';
import { convolutionalNetwork } from '../commands/foreign-models.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { launchers, NO_MPI, startRanks } from '../distributed/mpirun.js';

const folder = temporaryFolder();
const study = (content: object) => writeFileSync(join(folder, 'study.json'), JSON.stringify(content));
const run = (name: string, out: string) =>
  p2w(['experiment', name, '--config', 'study.json', '--out', out, '--processes', '2', '--json'], folder);

/** What a test that hangs would wait for until its end. */
const promptly = <T>(work: Promise<T>): Promise<T> => {
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Error('it did not end')), 30_000),
  );
  return Promise.race([work, late]);
};

const STUDY = {
  tiles: 'tiles',
  pretrain: ['whole=16x8x8', 'network.levels=2', 'network.width=2', 'batch=4', 'steps=2'],
  targets: [
    {
      name: 'balls',
      paper: 'NCC',
      data: 'samples',
      fractions: [0.5],
      settings: ['steps=2', 'batch=4', 'hidden=4'],
    },
  ],
  trials: 2,
  sources: [
    { name: 'random', pretrain: null, load: {} },
    { name: 'parts2whole', pretrain: [], load: {} },
  ],
};

beforeAll(async () => {
  await sampleStore(join(folder, 'tiles'));
  await writeBalls(join(folder, 'raw'), { patients: 10, each: 2, size: [16, 16, 8] });
  await prepareSamples({
    ...{ task: 'manifest', input: join(folder, 'raw/table.csv'), out: join(folder, 'samples') },
    ...{ size: [16, 16, 8], columns: BALL_COLUMNS },
  });
});

if (launchers.length === 0) test('experiments on ranks', (context) => context.skip(NO_MPI));

describe('p2w experiment', () => {
  test('table1 trains from every source with every seed, compares them, and does nothing twice', async () => {
    study(STUDY);
    const done = await run('table1', 'out');
    expect(done.code, done.stderr).toBe(0);
    const { groups, comparisons, files } = lastJson(done) as ExperimentResult;
    expect(groups).toMatchObject([
      { target: 'balls', source: 'random', amount: { fraction: 0.5 }, metric: 'auc' },
      { target: 'balls', source: 'parts2whole', amount: { fraction: 0.5 }, metric: 'auc' },
    ]);
    for (const { values } of groups) expect(values).toHaveLength(2);
    expect(comparisons).toMatchObject([{ source: 'parts2whole', against: 'random' }]);
    const csv = readFileSync(join(folder, files.csv), 'utf8').trimEnd().split('\n');
    expect(csv).toHaveLength(5);
    expect(csv[1]).toMatch(/^balls,0\.5,,random,,1,auc,[\d.]+$/);
    const page = readFileSync(join(folder, files.page), 'utf8');
    expect(page).toContain('98.67 ± 0.23');
    expect(readFileSync(join(folder, files.chart), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);

    rmSync(join(folder, 'out/jobs/balls-random-fraction-0.5-seed-2.json'));
    const again = await run('table1', 'out');
    expect(again.stderr.match(/starting \S+/g)).toEqual(['starting balls-random-fraction-0.5-seed-2']);
    expect(lastJson(again).groups).toEqual(groups);

    // Nor are those of a shorter pre-training those of a longer one, which the same command goes on with.
    study({ ...STUDY, pretrain: [...STUDY.pretrain.slice(0, -1), 'steps=3'] });
    const longer = await run('table1', 'out');
    expect(longer.code).toBe(1);
    expect(longer.stderr).toMatch(
      /results here of other data, or of other pre-trainings[\s\S]*balls-parts2whole-\S+-seed-1/,
    );
    expect(longer.stderr).not.toContain('starting');

    // Scores of other settings are not passed off as those of today's.
    study({ ...STUDY, targets: [{ ...STUDY.targets[0], settings: ['steps=3', 'batch=4', 'hidden=4'] }] });
    const changed = await run('table1', 'out');
    expect(changed.code).toBe(1);
    expect(changed.stderr).toMatch(
      /failed: (balls-\S+)[\s\S]*\1\/trial-01: this trial is finished[\s\S]*steps: 2, now 3[\s\S]*another --out/,
    );
  });

  test('scores against numbers of patients; sources that are pre-trained alike share a run; seeds can be added', async () => {
    const curves = {
      ...STUDY,
      targets: [{ ...STUDY.targets[0], fractions: [], patients: [4, 5] }],
      sources: [
        { name: 'untrained', pretrain: [], checkpoint: 0, load: {} },
        { name: 'parts2whole', pretrain: [], load: {} },
      ],
    };
    study({ ...curves, trials: 1 });
    const first = await run('table1', 'curves');
    expect(first.code, first.stderr).toBe(0);
    const started = ({ stderr }: typeof first) => stderr.match(/starting \S+/g)!.sort();
    expect(started(first)).toEqual([
      'starting balls-parts2whole-patients-4-seed-1',
      'starting balls-parts2whole-patients-5-seed-1',
      'starting balls-untrained-patients-4-seed-1',
      'starting balls-untrained-patients-5-seed-1',
      'starting pretrain-untrained',
    ]);
    study({ ...curves, targets: curves.targets.map((target) => ({ ...target, trials: 2 })), trials: 1 });
    const second = await run('table1', 'curves');
    expect(started(second).every((job) => job.endsWith('seed-2'))).toBe(true);
    const { groups, files } = lastJson(second) as ExperimentResult;
    expect(groups.map(({ amount, trainingPatients }) => [amount, trainingPatients])).toEqual(
      [4, 4, 5, 5].map((patients) => [{ patients }, patients]),
    );
    expect(readFileSync(join(folder, files.page), 'utf8')).toContain('balls: how many labels?');
    expect(readFileSync(join(folder, files.csv), 'utf8')).toMatch(/^balls,,4,untrained,,1,auc,/m);
  });

  test('a probe trains on the features of encoders that are exported once, the untrained one too', async () => {
    const [target] = STUDY.targets;
    const [untrained, pretrained] = STUDY.sources;
    const probes = {
      ...STUDY,
      targets: [{ ...target, probe: true }],
      sources: [untrained, { ...pretrained, pretrain: ['seed=7'] }],
    };
    study(probes);
    const done = await run('table1', 'probed');
    expect(done.code, done.stderr).toBe(0);
    const started = ({ stderr }: typeof done) => stderr.match(/(?<=starting )\S+/g)!.toSorted();
    expect(started(done)).toEqual([
      'balls-parts2whole-fraction-0.5',
      'balls-random-fraction-0.5',
      'export-pretrain-parts2whole',
      'export-pretrain-random',
      'pretrain-parts2whole',
    ]);
    // A source may have a seed of its own, so that pre-trainings that differ in nothing else can be compared.
    const config = readFileSync(join(folder, 'probed/runs/pretrain-parts2whole/config.json'), 'utf8');
    expect(JSON.parse(config)).toMatchObject({ seed: 7 });
    const { groups } = lastJson(done) as ExperimentResult;
    expect(groups.map(({ source, values }) => [source, values.length])).toEqual([
      ['random', 2],
      ['parts2whole', 2],
    ]);
    // Seeds can be added: what is tested already stays as it is.
    const trial = join(folder, 'probed/runs/balls-random-fraction-0.5/trial-01/scores.json');
    const { mtimeMs } = statSync(trial);
    study({ ...probes, trials: 3 });
    const more = await run('table1', 'probed');
    expect(started(more)).toEqual(['balls-parts2whole-fraction-0.5', 'balls-random-fraction-0.5']);
    expect(statSync(trial).mtimeMs).toBe(mtimeMs);
    const [random] = (lastJson(more) as ExperimentResult).groups;
    expect(random!.values.slice(0, 2)).toEqual(groups[0]!.values);
    expect(random!.values).toHaveLength(3);
    study({ ...STUDY, targets: [{ ...target, probe: true }], sources: STUDY.sources.slice(0, 1) });
    const without = await run('table1', 'without');
    expect([without.code, without.stderr]).toEqual([
      2,
      expect.stringContaining('come from pre-training runs'),
    ]);
  });

  test('a source can begin from a file: an ONNX model of any other method is trained beside ours', async () => {
    writeFileSync(join(folder, 'resnet.onnx'), convolutionalNetwork({ classes: 5 }));
    const other = { name: 'MedicalNet', pretrain: null, init: 'resnet.onnx' };
    const settings = ['steps=2', 'batch=4'];
    // Without a pre-training, no tiles are needed.
    study({
      ...{ ...STUDY, tiles: undefined },
      targets: [{ ...STUDY.targets[0], settings }],
      sources: [STUDY.sources[0], other],
      trials: 1,
    });
    const done = await run('table1', 'others');
    expect(done.code, done.stderr).toBe(0);
    const { groups } = lastJson(done) as ExperimentResult;
    expect(groups.map(({ source }) => source)).toEqual(['random', 'MedicalNet']);
    const config = 'others/runs/balls-MedicalNet-fraction-0.5-seed-1/trial-01/config.json';
    expect(JSON.parse(readFileSync(join(folder, config), 'utf8'))).toMatchObject({
      frozenEncoder: false,
      model: { head: 'replace' },
    });
  });

  test('shards share the jobs, and wait for the pre-training that one of them runs', async () => {
    study(STUDY);
    const shard = (part: string) =>
      startP2w(
        ['experiment', 'table1', '--config', 'study.json', '--out', 'shared', '--shard', part, '--json'],
        folder,
      );
    // The one that does not pre-train has nothing left to do before the other begins.
    const first = shard('1/2');
    await new Promise<void>((resolve) => {
      let said = '';
      first.process.stderr!.on('data', (text) => {
        said += text;
        if (said.includes('waiting for others: pretrain-parts2whole')) resolve();
      });
      first.process.on('close', () => resolve());
    });
    const parts = await Promise.all([first.finished, shard('2/2').finished]);
    for (const { code, stderr } of parts) expect(code, stderr).toBe(0);
    const started = parts.map(({ stderr }) => stderr.match(/(?<=starting )\S+/g)!);
    expect(started.map((jobs) => jobs.length)).toEqual([2, 3]);
    expect(new Set(started.flat()).size).toBe(5);
    expect(Math.max(...parts.map((part) => lastJson(part).done as number))).toBe(5);
    expect(parts[0]!.stderr).toContain('waiting for others: pretrain-parts2whole');
    const joined = await run('table1', 'shared');
    expect(joined.stderr).not.toContain('starting');
    expect(lastJson(joined).groups).toHaveLength(2);
  });

  test.skipIf(launchers.length === 0)('ranks share the jobs; the first writes what came out', async () => {
    study(STUDY);
    const start = (out: string) => {
      const line = ['experiment', 'table1', '--config', 'study.json', '--out', out, '--json'];
      return startRanks(launchers[0]!, [{ ranks: 2, line }], folder);
    };
    const done = await start('ranks').finished;
    expect(done.code, done.stderr).toBe(0);
    expect(done.stdout.trim().split('\n')).toHaveLength(1);
    expect(lastJson(done).groups).toMatchObject([{ source: 'random' }, { source: 'parts2whole' }]);
    expect(existsSync(join(folder, 'ranks/table1.html'))).toBe(true);

    // One rank pre-trains, for long, when a fine-tuning of the other fails.
    const targets = [{ ...STUDY.targets[0], settings: ['network.width=99x'] }];
    const pretrain = STUDY.pretrain.map((s) => (s === 'steps=2' ? 'steps=100000' : s));
    study({ ...STUDY, pretrain, targets });
    const failing = await promptly(start('one-rank-fails').finished);
    expect(failing.code).not.toBe(0);
    expect(failing.stderr).toMatch(/p2w: rank \d on \S+, \S+\.log: a training run of the experiment failed/);
    const training = join(folder, 'one-rank-fails/runs/pretrain-parts2whole');
    mkdirSync(training, { recursive: true }); // it may have ended before it made its folder
    await vi.waitFor(() => acquireLock(training, 'a test').release(), 10_000);
  });

  test('fig3 fine-tunes checkpoints along the pre-training', async () => {
    const [balls] = STUDY.targets;
    const probe = { ...balls, name: 'probe', probe: true, trials: 2 };
    study({ ...STUDY, trials: 1, sources: undefined, targets: [balls, probe] });
    const done = await run('fig3', 'along');
    expect(done.code, done.stderr).toBe(0);
    const { checkpoints, correlations } = lastJson(done) as ExperimentResult;
    expect(checkpoints.map(({ step }) => step)).toEqual([0, 1, 2]);
    for (const { validationMse, scores } of checkpoints) {
      expect(validationMse).toBeGreaterThan(0);
      expect(scores.probe!.deviation).not.toBeNull();
    }
    expect(Object.keys(correlations)).toEqual(['balls', 'probe']);
    const encoders = checkpoints.map(({ step }) =>
      readFileSync(join(folder, `along/encoders/pretrain-parts2whole-step-${step}/encoder.onnx`), 'base64'),
    );
    expect(new Set(encoders).size).toBe(3);
    const { rows } = readTable(join(folder, 'along/fig3.csv'));
    expect(rows).toHaveLength(3 * (1 + 2));
    for (const { step, validationMse } of checkpoints)
      for (const { cells } of rows.filter((row) => row.cells.step === `${step}`))
        expect(Number(cells.validation_mse)).toBe(validationMse);
  });

  test('fig2 analyses what was learnt, and follows it along the pre-training', {
    timeout: 180_000,
  }, async () => {
    study({
      ...STUDY,
      targets: [],
      maps: { wholes: 4, parts: 12 },
      pretrain: [...STUDY.pretrain.filter((s) => s !== 'steps=2'), 'steps=20', 'validation.every=10'],
      sources: undefined,
    });
    const done = await run('fig2', 'features');
    expect(done.code, done.stderr).toBe(0);
    const { encoders, checkpoints, correlation, files } = lastJson(done) as Fig2Result;
    expect(encoders.map(({ name }) => name)).toEqual(['random', 'genesis', 'parts2whole']);
    expect(checkpoints.length).toBeGreaterThanOrEqual(20);
    expect(correlation!.n).toBe(checkpoints.length);
    const page = readFileSync(join(folder, files.page), 'utf8');
    expect(page).toContain('the paper, on its data: 0.93');
    expect(page.match(/<circle /g)!.length).toBeGreaterThan(3 * 4 * 12);
  });

  test('a killed experiment takes its trainings along; an interrupted one saves them', async () => {
    study({ ...STUDY, pretrain: STUDY.pretrain.map((s) => (s === 'steps=2' ? 'steps=100000' : s)) });
    const training = join(folder, 'long/runs/pretrain-parts2whole');
    const last = join(training, 'checkpoints/last.safetensors');
    const savedAt = () => statSync(last, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const during = async (signal: NodeJS.Signals) => {
      const { process: child, finished } = startP2w(
        ['experiment', 'table1', '--config', 'study.json', '--out', 'long', '--json'],
        folder,
      );
      const before = savedAt();
      while (savedAt() === before && child.exitCode === null)
        await new Promise((resolve) => setTimeout(resolve, 100));
      child.kill(signal);
      return finished;
    };
    await during('SIGKILL');
    await vi.waitFor(() => acquireLock(training, 'a test').release(), 10_000);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { code, stdout, stderr } = await during(signal);
      expect(code, stderr).toBe(130);
      expect(JSON.parse(stdout)).toEqual({ name: 'table1', interrupted: true });
      acquireLock(training, 'a test').release();
    }
    expect(existsSync(join(folder, 'long/table1.html'))).toBe(false);

    writeFileSync(join(training, 'metrics.jsonl'), '');
    const { code, stderr } = await promptly(run('table1', 'long'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/failed: pretrain-parts2whole[\s\S]*the metrics file is shorter/);
    expect(stderr).toContain('long/jobs/pretrain-parts2whole.log');
  });

  test('a training that fails ends the others, which save', async () => {
    const targets = [{ ...STUDY.targets[0], settings: ['network.width=99x'] }];
    const pretrain = STUDY.pretrain.map((s) => (s === 'steps=2' ? 'steps=100000' : s));
    study({ ...STUDY, pretrain, targets });
    const { code, stderr } = await promptly(run('table1', 'one-fails'));
    expect(code).toBe(1);
    expect(stderr).toContain('failed: balls-random');
    const training = join(folder, 'one-fails/runs/pretrain-parts2whole');
    mkdirSync(training, { recursive: true }); // it may have ended before it made its folder
    acquireLock(training, 'a test').release();
  });

  test('a training that fails is named, with its log', async () => {
    study({ ...STUDY, targets: [{ ...STUDY.targets[0], settings: ['network.width=99x'] }] });
    const { code, stderr } = await run('table1', 'failing');
    expect(code).toBe(1);
    expect(stderr).toMatch(/a training run of the experiment failed: balls-random[\s\S]*network\.width/);
  });

  test('bad configurations are refused', async () => {
    study({ ...STUDY, trials: 0, tile: 'x' });
    expect((await run('table1', 'x')).stderr).toMatch(/trials[\s\S]*tile/);
    study({ ...STUDY, tiles: undefined });
    for (const name of ['table1', 'fig2'])
      expect((await run(name, 'x')).stderr).toMatch(/needs tiles[\s\S]*only sources/);
    study({ ...STUDY, targets: [] });
    expect((await run('table2', 'x')).stderr).toContain('needs target tasks');
    const [balls] = STUDY.targets;
    const file = { name: 'other', pretrain: null, init: 'other.safetensors', load: {} };
    study({ ...STUDY, sources: [{ ...file, pretrain: [] }] });
    expect((await run('table1', 'x')).stderr).toContain('not both');
    study({ ...STUDY, sources: [file], targets: [{ ...balls, probe: true }] });
    expect((await run('table1', 'x')).stderr).toContain('cannot be probed');
    study({ ...STUDY, sources: [file] });
    expect((await run('fig3', 'x')).stderr).toContain('follow pre-trainings');
    study(STUDY);
    expect((await run('fig3', 'x')).stderr).toMatch(
      /Fig\. 3 follows one pre-training[\s\S]*random \(not pre-trained\), parts2whole/,
    );
    const [random] = STUDY.sources;
    study({ ...STUDY, sources: [random, random], targets: [balls, { ...balls, data: 'others' }] });
    expect((await run('table1', 'x')).stderr).toMatch(
      /targets\.1\.name: another target has this name[\s\S]*sources\.1\.name: another source has this name/,
    );
    study({ ...STUDY, sources: ['a !', 'a ?'].map((name) => ({ ...random, name })) });
    expect((await run('table1', 'x')).stderr).toContain(
      'balls from a !, balls from a ?: balls-a_-fraction-0.5',
    );
  });
});

const group = (source: string, values: number[]) =>
  groupOf({ target: 't', amount: { fraction: 1 }, trainingPatients: 9, metric: 'auc', source, values });

test('comparisons are paired by seed, and corrected for their number', () => {
  const base = [0.8, 0.7, 0.9, 0.75, 0.85];
  const found = compareAll([
    group('random', base),
    group(
      'genesis',
      base.map((v, i) => v + 0.02 + 0.001 * i),
    ),
    group(
      'parts2whole',
      base.map((v, i) => v + 0.03 - 0.002 * i),
    ),
  ]);
  expect(found.map(({ source, against }) => `${source} ${against}`)).toEqual([
    'genesis random',
    'parts2whole random',
    'parts2whole genesis',
  ]);
  const [first] = found;
  expect(first!.difference).toBeCloseTo(0.022, 12);
  expect(first!.paired!).toBeLessThan(1e-4);
  expect(first!.welch!).toBeGreaterThan(0.5);
  expect(first!.holm!).toBeGreaterThan(first!.paired!);
  expect(first!.interval![0]).toBeGreaterThan(0.02);
});

test('one trial has no interval', () => {
  const groups = [group('random', [0.7]), group('parts2whole', [0.8])];
  expect(groups.map(({ interval }) => interval)).toEqual([null, null]);
  const [found] = compareAll(groups);
  expect(found).toMatchObject({ interval: null, paired: null, holm: null });
  expect(found!.difference).toBeCloseTo(0.1, 12);
});

test.each([
  [{ fraction: 1 }, 't'],
  [{ fraction: 0.55 }, 't, 55 % of the training data'],
  [{ fraction: 1 / 3 }, 't, 33.3333 % of the training data'],
  [{ patients: 4 }, 't, 4 training patients'],
])('the heading of %o', (amount, heading) => {
  expect(nameOf({ target: 't', amount })).toBe(heading);
});
