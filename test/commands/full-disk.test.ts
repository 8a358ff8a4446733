import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { writeArtifacts } from '../../src/commands/artifacts.js';
import { exportModel } from '../../src/commands/export.js';
import { writeFeatures } from '../../src/commands/feature-files.js';
import { writePhantoms } from '../../src/commands/phantom.js';
import { writeTaskPhantoms } from '../../src/commands/phantom-task.js';
import { prepare } from '../../src/commands/prepare.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { segment } from '../../src/commands/segment.js';
import { writeTriton } from '../../src/commands/triton.js';
import { fromSettings } from '../../src/config/settings.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { buildIndex } from '../../src/search/build-index.js';
import type { FeatureRow } from '../../src/search/feature-row.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeThresholds } from '../inference/models.js';
import { mountDisk, remount } from '../small-disk.js';

const folder = temporaryFolder();
const [data, disk, reference] = ['tiles', 'disk', 'reference'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const SETTINGS = [
  ...[
    'whole=16x8x8',
    'network.levels=2',
    'network.width=2',
    'batch=4',
    'threads=1',
    'workers=0',
    'validation.every=10',
  ],
  ...['checkpoints.every=5', 'checkpoints.keepLogSpaced=5'],
];
const options = { data, config: fromSettings(SETTINGS, { steps: 20 }) };

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  await pretrain({ ...options, out: reference });
});

/** Room for a run up to some step, and not for the rest of it. */
const checkpointKiB = () => Math.ceil(readFileSync(checkpointPath(reference, 'last')).length / 1024 / 4) * 4;

test('a disk that fills up while a checkpoint is saved leaves the last one whole; the run goes on to the same bytes', async (context) => {
  mountDisk(context, disk, `size=${Math.round(4.5 * checkpointKiB()) + 16}k`);
  const out = join(disk, 'run');
  const error = await pretrain({ ...options, out }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'UserError', kind: 'disk' });
  expect((error as Error).message).toMatch(/the disk is full[\s\S]*continue with --resume/);
  expect(loadCheckpoint(checkpointPath(out, 'last')).state.step).toBeLessThan(20);
  expect(readdirSync(join(out, 'checkpoints')).filter((name) => name.endsWith('.tmp'))).toEqual([]);

  remount(disk, 'size=8m');
  await pretrain({ ...options, out, resume: true });
  for (const name of ['last', 'best', 20] as const)
    expect(
      readFileSync(checkpointPath(out, name)).equals(readFileSync(checkpointPath(reference, name))),
    ).toBe(true);
  expect(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).toBe(
    readFileSync(join(reference, 'metrics.jsonl'), 'utf8'),
  );
});

test('a disk that is full while exporting leaves no model under its name', async (context) => {
  mountDisk(context, disk, 'size=16k');
  const out = join(disk, 'encoder');
  await expect(exportModel({ run: reference, out })).rejects.toThrow(/the disk is full/);
  expect(existsSync(join(out, 'encoder.onnx'))).toBe(false);
  expect(readdirSync(out).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

const contentsOf = (path: string) =>
  new Map(
    readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(path, name)).isFile())
      .map((name) => [name, readFileSync(join(path, name), 'base64')]),
  );
/** Leaves room for so many more bytes, at least. */
function leave(bytes: number): void {
  const used = execFileSync('df', ['--output=used', '-k', disk], { encoding: 'utf8' }).split('\n')[1];
  remount(disk, `size=${Number(used) + Math.ceil(bytes / 4096) * 4}k`);
}

const rowsOf = (source: string, length: number): FeatureRow[] =>
  [0, 1, 2].map((i) => ({
    ...{ source: `${source}-${i}`, offset: null, centre: null, windows: 1 },
    features: new Float32Array(length).fill(i + 0.5),
  }));
const INDEX = {
  model: { path: '/models/encoder.onnx', sha256: 'a'.repeat(64) },
  window: [16, 16, 8] as const,
  recall: 1,
  threads: 1,
};

test.for<[string, (out: string, which: number) => Promise<unknown>]>([
  ['features and their places', (out, which) => writeFeatures(`${out}.npy`, rowsOf(`scan${which}`, 4096))],
  ['an index', (out, which) => buildIndex(out, rowsOf(`scan${which}`, 4096), INDEX, nodeEngine)],
  [
    'training artifacts',
    (out, which) =>
      writeArtifacts({
        run: reference,
        out,
        overwrite: which > 0,
        warmup: which,
        optimizer: which ? 'sgd' : 'adamw',
      }),
  ],
])(
  'a disk that fills up while %s are written leaves the old ones together',
  async ([name, write], context) => {
    mountDisk(context, disk, 'size=64m');
    mkdirSync(join(disk, 'results'));
    const out = join(disk, 'results', 'out');
    await write(out, 0);
    const before = contentsOf(join(disk, 'results'));
    for (const room of [0, 4096, 16_384, 32_768]) {
      leave(room);
      await expect(write(out, 1), `${name}, ${room}`).rejects.toThrow(/the disk is full/);
      expect(contentsOf(join(disk, 'results'))).toEqual(before);
    }
    remount(disk, 'size=64m');
    await write(out, 1);
    const after = contentsOf(join(disk, 'results'));
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    expect(after).not.toEqual(before);
  },
);

test('a disk that is full while a version for Triton is written leaves no folder of it', async (context) => {
  mountDisk(context, disk, 'size=64m');
  const [out, repository] = [join(disk, 'encoder'), join(disk, 'repository')];
  await exportModel({ run: reference, out });
  leave(4096);
  const bytes = readFileSync(join(out, 'encoder.onnx'));
  expect(() => writeTriton(repository, 'encoder', bytes)).toThrow(/the disk is full/);
  expect(readdirSync(join(repository, 'encoder'))).toEqual([]);
  remount(disk, 'size=64m');
  writeTriton(repository, 'encoder', bytes);
  expect(readdirSync(join(repository, 'encoder')).sort()).toEqual(['1', 'config.pbtxt']);
  // One that is empty, as an earlier version of this program may have left it, is filled.
  mkdirSync(join(repository, 'encoder', '2'));
  writeTriton(
    repository,
    'encoder',
    readFileSync(join(import.meta.dirname, '../../models/chest/encoder.onnx')),
  );
  expect(readdirSync(join(repository, 'encoder', '2'))).toEqual(['model.onnx']);
});

test('a disk that is full in the middle of a mask leaves no half of it; the command goes on', async (context) => {
  mountDisk(context, disk, 'size=8m');
  const [model, scans, out] = [join(folder, 'thresholds.onnx'), join(folder, 'masked'), join(disk, 'masks')];
  writeThresholds(model);
  mkdirSync(scans);
  for (const name of ['a', 'b'])
    await writeNifti(join(scans, `${name}.nii`), noiseVolume([96, 96, 64], name.charCodeAt(0)));
  const options = { model, input: [scans], out, format: 'nii', threads: 1 } as const;
  await segment(options);
  const whole = readFileSync(join(out, 'masks/b.nii'));
  const pictures = ['a', 'b'].reduce(
    (sum, name) => sum + statSync(join(out, `pictures/${name}.png`)).size,
    0,
  );
  const journal = readFileSync(join(out, 'finished.jsonl'), 'utf8').split('\n');
  rmSync(out, { recursive: true });
  // Room for the first mask, and for half of the second one.
  remount(disk, `size=${Math.ceil((1.5 * whole.length + pictures) / 1024) + 64}k`);
  const error = await segment(options).catch((reason: unknown) => reason);
  expect((error as Error).message).toMatch(/the disk is full[\s\S]*run the same command again/);
  expect(
    readdirSync(disk, { recursive: true, encoding: 'utf8' }).filter((name) => /tmp$/.test(name)),
  ).toEqual([]);
  expect(existsSync(join(out, 'masks/b.nii'))).toBe(false);
  remount(disk, 'size=8m');
  expect(await segment(options)).toMatchObject({ scans: 2, kept: 1 });
  expect(readFileSync(join(out, 'masks/b.nii')).equals(whole)).toBe(true);
  expect(readFileSync(join(out, 'finished.jsonl'), 'utf8').split('\n')).toEqual(journal);
});

test('a disk that is full while phantoms are written is said to be full', async (context) => {
  mountDisk(context, disk, 'size=64k');
  const common = { scans: 2, size: [32, 32, 32] as const, seed: 1 };
  for (const [name, write] of Object.entries({
    gz: (out: string) => writePhantoms({ ...common, out, format: 'nii.gz' }),
    mhd: (out: string) => writePhantoms({ ...common, out, format: 'mhd' }),
    bms: (out: string) => writeTaskPhantoms({ ...common, out, task: 'bms' }),
  })) {
    await expect(write(join(disk, name)), name).rejects.toThrow(/the disk is full/);
    rmSync(join(disk, name), { recursive: true });
  }
});

test('a read-only disk is said to be read-only, by every command', async (context) => {
  mountDisk(context, disk, 'ro');
  const out = join(disk, 'new', 'folder');
  const samples = { task: 'manifest' as const, input: join(folder, 'table.csv'), out };
  const commands: Record<string, () => Promise<unknown>> = {
    phantom: () => writePhantoms({ out, scans: 1, size: [16, 16, 16], seed: 1, format: 'mhd' }),
    prepare: () => prepare({ input: [join(folder, 'phantoms/scans')], out, size: [16, 8, 8] }),
    'prepare --task': () => prepareSamples({ ...samples, columns: BALL_COLUMNS, size: [16, 16, 8] }),
    pretrain: () => pretrain({ ...options, out }),
    export: () => exportModel({ run: reference, out }),
  };
  await writePhantoms({ out: join(folder, 'phantoms'), scans: 1, size: [16, 16, 16], format: 'mhd' });
  await writeBalls(folder, { patients: 4, each: 1, size: [16, 16, 8] });
  for (const [name, run] of Object.entries(commands))
    await expect(run(), name).rejects.toThrow(/the file system is read-only/);
});
