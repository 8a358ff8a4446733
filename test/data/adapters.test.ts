import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type PhantomTask, writeTaskPhantoms } from '../../src/commands/phantom-task.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import type { AdapterOptions, TaskName } from '../../src/data/adapters/index.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { voxelToWorld } from '../../src/data/scan/geometry.js';
import { readVolume } from '../../src/data/scan/index.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { silent } from '../../src/progress.js';
import { lastJson, p2w } from '../commands/cli.js';
import { temporaryFolder } from './store/tiles-sample.js';

const REAL = join(import.meta.dirname, '../../../shared/data');
const REAL_LIDC = join(REAL, 'lidc_nodule_vois');
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
/** Draws a data set once, and copies it for every test that wants it. */
async function phantoms(task: PhantomTask, name: string, scans: number, size: XYZ): Promise<void> {
  const kind = `drawn-${task}-${scans}-${size.join('x')}`;
  if (!existsSync(at(kind))) await writeTaskPhantoms({ task, out: at(kind), scans, size, seed: 3 });
  cpSync(at(kind), at(name), { recursive: true });
}
let stores = 0;
async function prepared(task: TaskName, input: string, options: AdapterOptions = {}) {
  const summary = await prepareSamples({ task, input: at(input), out: at(`store-${stores++}`), ...options });
  return { summary, store: openSampleStore(summary.out) };
}

describe('ncc: candidates of LUNA16', () => {
  test('subsets are the split; training keeps all nodules and some other candidates, testing all', async () => {
    await phantoms('ncc', 'luna', 10, [48, 48, 40]);
    const lines = readFileSync(at('luna/candidates_V2.csv'), 'utf8').trimEnd().split('\n').slice(1);
    const nodules = lines.filter((line) => line.endsWith(',1'));
    const { summary, store } = await prepared('ncc', 'luna', { size: [16, 16, 8] });
    expect(summary.failures).toEqual([]);
    expect(store.manifest).toMatchObject({ kind: 'classification', classes: ['no nodule', 'nodule'] });
    const { samples } = store.manifest;
    expect(samples.filter(({ label }) => label === 1)).toHaveLength(nodules.length);
    const of = (split: string) => samples.filter((sample) => sample.split === split);
    expect(new Set(of('train').map(({ patient }) => patient))).toEqual(
      new Set([0, 1, 2, 3, 4].map((i) => `phantom-000${i}`)),
    );
    expect(of('test').length).toBe(lines.filter((line) => /^phantom-000[789]/.test(line)).length);
    for (const patient of new Set(of('train').map((sample) => sample.patient))) {
      const own = of('train').filter((sample) => sample.patient === patient);
      const positives = own.filter(({ label }) => label === 1).length;
      expect(own.length - positives).toBeLessThanOrEqual(50 * positives);
    }
  });

  test('subsets are the split wherever the command is given, and whatever lies beside them', async () => {
    await phantoms('ncc', 'beside', 10, [48, 48, 40]);
    const told: string[] = [];
    const samplesOf = async (input: string) => {
      const { out, failures } = await prepareSamples({
        ...{ task: 'ncc', input, out: at(`store-${stores++}`), size: [8, 8, 8] },
        reporter: { ...silent, log: (line) => told.push(line) },
      });
      expect(failures).toEqual([]);
      return openSampleStore(out).manifest.samples;
    };
    const official = await samplesOf(at('beside'));
    expect(told).toEqual([]);
    // As LUNA16 has them: the same names in a folder of masks.
    cpSync(at('beside/subset7'), at('beside/seg-lungs-LUNA16'), { recursive: true });
    cpSync(at('beside/subset8'), at('beside/another'), { recursive: true });
    const here = process.cwd();
    process.chdir(at('beside'));
    try {
      expect(await samplesOf('.')).toEqual(official);
    } finally {
      process.chdir(here);
    }
    expect(told).toEqual(['.: passed over: 2 scans outside of the folders subset0 to subset9']);
  });

  test('--negatives says how many other candidates are kept for training, and the seed which', async () => {
    const idsOf = async (options: AdapterOptions) => {
      const { store } = await prepared('ncc', 'luna', { size: [8, 8, 8], ...options });
      const train = store.manifest.samples.filter(({ split }) => split === 'train');
      const negatives = train.filter(({ label }) => label === 0);
      return { positives: train.length - negatives.length, places: negatives.map(({ sha256 }) => sha256) };
    };
    const [one, again, seeded, all] = [
      await idsOf({ negatives: 1 }),
      await idsOf({ negatives: 1, seed: 1 }),
      await idsOf({ negatives: 1, seed: 2 }),
      await idsOf({ negatives: Number.POSITIVE_INFINITY }),
    ];
    expect(one.places.length).toBeLessThan(all.places.length);
    expect(again).toEqual(one);
    expect(seeded.places).not.toEqual(one.places);
    const lines = readFileSync(at('luna/candidates_V2.csv'), 'utf8').split('\n');
    expect(all.places.length).toBe(lines.filter((line) => /^phantom-000[0-4].*,0$/.test(line)).length);
    await expect(prepared('lcs', 'luna', { negatives: 3 })).rejects.toThrow(/--negatives[\s\S]*ncc/);
  });

  test('a class that is neither 0 nor 1 is refused with its line', async () => {
    mkdirSync(at('wrong'));
    cpSync(at('luna/subset0'), at('wrong/subset0'), { recursive: true });
    const lines = readFileSync(at('luna/candidates_V2.csv'), 'utf8').split('\n');
    const own = lines.filter((line) => /^(seriesuid|phantom-0000)/.test(line));
    writeFileSync(
      at('wrong/candidates.csv'),
      own.join('\n').replace(/,0$/, ',2').replaceAll(/,1\n/g, ',1.0\n'),
    );
    const { summary } = await prepared('ncc', 'wrong', { size: [8, 8, 8] });
    expect(summary.failures[0]!.message).toMatch(/line \d+: a label is not one of the classes[\s\S]*2/);
  });

  test('a crop’s middle is the candidate, whatever the scan’s axes', async () => {
    mkdirSync(at('turned/subset0'), { recursive: true });
    const size: XYZ = [24, 20, 16];
    const voxels = new Int16Array(24 * 20 * 16).fill(-800);
    const place: XYZ = [6, 13, 5];
    voxels[place[0] + 24 * (place[1] + 20 * place[2])] = 700;
    const turned = {
      size,
      spacing: [0.7, 0.7, 2.5] as XYZ,
      origin: [100, -50, -300] as XYZ,
      direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
      voxels,
    };
    await writeMetaImage(at('turned/subset0/a.mhd'), turned);
    const world = voxelToWorld(turned, place);
    writeFileSync(
      at('turned/candidates.csv'),
      `seriesuid,coordX,coordY,coordZ,class\na,${world.join(',')},1\nb,0,0,0,0\nb,1,1,1,0\n`,
    );
    const { summary, store } = await prepared('ncc', 'turned', { size: [8, 8, 8] });
    const { image } = readSample(store, store.manifest.samples[0]!);
    expect(Math.max(...image)).toBe(700);
    const [x, y, z] = [0, 1, 2].map((axis) => Math.floor(image.indexOf(700) / 8 ** axis) % 8);
    for (const middle of [x!, y!, z!]) expect(Math.abs(middle - 3.5)).toBeLessThanOrEqual(1);
    expect(summary.failures).toEqual([
      {
        source: 'b',
        message: expect.stringMatching(/2 lines of .*candidates\.csv.*the scan does not exist/),
      },
    ]);
  });

  test('a candidate outside of its scan, and a table that is missing, are said', async () => {
    writeFileSync(at('turned/candidates.csv'), 'seriesuid,coordX,coordY,coordZ,class\na,9999,0,0,1\n');
    const { summary } = await prepared('ncc', 'turned', { size: [8, 8, 8] });
    expect(summary.failures[0]!.message).toMatch(/line 2: this position is outside its scan[\s\S]*9999/);
    rmSync(at('turned/candidates.csv'));
    await expect(prepared('ncc', 'turned')).rejects.toThrow(/a table is missing[\s\S]*candidates_V2\.csv/);
    writeFileSync(at('turned/candidates.csv'), 'uid,x\na,1\n');
    await expect(prepared('ncc', 'turned')).rejects.toThrow(/missing columns[\s\S]*seriesuid/);
  });
});

describe('ncs: nodules and their masks', () => {
  test('LIDC’s crops keep their masks, at 1 mm', async () => {
    await phantoms('ncs', 'lidc', 6, [64, 64, 64]);
    const { summary, store } = await prepared('ncs', 'lidc', { size: [32, 32, 24] });
    expect(summary.failures).toEqual([]);
    expect(store.manifest).toMatchObject({ task: 'ncs', kind: 'segmentation', classes: ['nodule'] });
    const rows = readFileSync(at('lidc/labels.csv'), 'utf8').trimEnd().split('\n').slice(1);
    expect(store.manifest.samples).toHaveLength(rows.length);
    for (const sample of store.manifest.samples) expect(sample.spacing).toEqual([1, 1, 1]);
    const large = rows.find((row) => Number(row.split(',')[2]) > 14)!;
    const sample = store.manifest.samples.find(({ id }) => large.startsWith(`${id}.`))!;
    const { mask } = readSample(store, sample);
    const volume = mask!.reduce((sum, label) => sum + label, 0);
    const diameter = Number(large.split(',')[2]);
    expect(volume / ((Math.PI / 6) * diameter ** 3)).toBeGreaterThan(0.5);
    expect(volume / ((Math.PI / 6) * diameter ** 3)).toBeLessThan(1.8);
  });

  test('LUNA16’s annotations are balls of their diameter', async () => {
    const { store } = await prepared('ncs', 'luna', { size: [32, 32, 32] });
    const rows = readFileSync(at('luna/annotations.csv'), 'utf8').trimEnd().split('\n').slice(1);
    expect(store.manifest.samples).toHaveLength(rows.length);
    expect(new Set(store.manifest.samples.map(({ split }) => split)).size).toBe(3);
    for (const sample of store.manifest.samples.slice(0, 5)) {
      const [id, index] = [sample.patient, Number(sample.id.split('-').at(-1))];
      const row = rows.filter((line) => line.startsWith(`${id},`))[index]!;
      const diameter = Math.min(Number(row.split(',')[4]), 30);
      const volume = readSample(store, sample).mask!.reduce((sum, label) => sum + label, 0);
      expect(volume / ((Math.PI / 6) * diameter ** 3)).toBeGreaterThan(0.8);
    }
  });
});

describe('lcs: livers of LiTS', () => {
  test('cubes with liver, lesions included; a volume without its segmentation is said', async () => {
    await phantoms('lcs', 'lits', 4, [48, 48, 32]);
    rmSync(at('lits/segmentation-2.nii'));
    const { summary, store } = await prepared('lcs', 'lits', { size: [16, 16, 16] });
    expect(summary.failures).toEqual([
      { source: at('lits/volume-2.nii'), message: 'segmentation-2 is missing' },
    ]);
    const labels = await readVolume(at('lits/segmentation-0.nii'));
    const liver = [...labels.voxels].filter((label) => label > 0).length;
    const own = store.manifest.samples.filter(({ patient }) => patient === 'volume-0');
    const kept = own.reduce(
      (sum, sample) => sum + readSample(store, sample).mask!.reduce((s, label) => s + label, 0),
      0,
    );
    expect(own.length).toBeGreaterThan(2);
    expect(own.length).toBeLessThan(3 * 3 * 2);
    expect(kept / liver).toBeGreaterThan(0.9);
    expect(kept).toBeLessThanOrEqual(liver);
  });

  test('its official split holds where the data set reaches so far', async () => {
    mkdirSync(at('numbered'));
    for (const [from, to] of [
      [0, 99],
      [1, 100],
      [3, 115],
    ] as const)
      for (const kind of ['volume', 'segmentation'])
        renameSync(at(`lits/${kind}-${from}.nii`), at(`numbered/${kind}-${to}.nii`));
    const { store } = await prepared('lcs', 'numbered', { size: [16, 16, 16] });
    const splits = new Map(store.manifest.samples.map(({ patient, split }) => [patient, split]));
    expect(Object.fromEntries(splits)).toEqual({
      'volume-99': 'train',
      'volume-100': 'validation',
      'volume-115': 'test',
    });
  });

  test('a folder of something else says what is expected', async () => {
    await expect(prepared('lcs', 'luna')).rejects.toThrow(/no LiTS volumes[\s\S]*volume-0\.nii/);
  });
});

describe('ecc: candidates for emboli', () => {
  test('patients and labels are those of the list; a label that is none is refused with its line', async () => {
    await phantoms('ecc', 'ctpa', 6, [48, 48, 40]);
    const { store, summary } = await prepared('ecc', 'ctpa', { size: [16, 16, 16] });
    expect(summary.failures).toEqual([]);
    expect(new Set(store.manifest.samples.map(({ patient }) => patient))).toEqual(
      new Set([0, 1, 2, 3, 4, 5].map((i) => `patient ${i}`)),
    );
    const list = readFileSync(at('ctpa/candidates.csv'), 'utf8');
    writeFileSync(at('ctpa/candidates.csv'), list.replace(/,1,patient 0/, ',maybe,patient 0'));
    const { summary: again } = await prepared('ecc', 'ctpa', { size: [16, 16, 16] });
    expect(again.failures).toHaveLength(1);
    expect(again.failures[0]!.message).toMatch(/line \d+: a label is not one of the classes[\s\S]*maybe/);
  });
});

describe('bms: brain tumours of BraTS', () => {
  test('four channels in a fixed order, from 0 to 1, the whole tumour as one class', async () => {
    await phantoms('bms', 'brats', 5, [40, 44, 36]);
    const { store, summary } = await prepared('bms', 'brats', { size: [16, 16, 16], spacing: [2, 2, 2] });
    expect(summary.failures).toEqual([]);
    expect(store.manifest).toMatchObject({
      channels: 4,
      type: 'float32',
      window: null,
      classes: ['whole tumour'],
    });
    const { image, mask } = readSample(store, store.manifest.samples[0]!);
    expect(Math.min(...image)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...image)).toBeLessThanOrEqual(1);
    // Oedema is bright in FLAIR, and darker than brain in T1.
    const mean = (channel: number, inside: boolean) => {
      const values = [...image.subarray(channel * 4096, (channel + 1) * 4096)].filter(
        (value, i) => (mask![i] === 1) === inside && value > 0.2,
      );
      return values.reduce((a, b) => a + b, 0) / values.length;
    };
    expect(mean(0, true)).toBeGreaterThan(mean(0, false));
    expect(mean(1, true)).toBeLessThan(mean(1, false));
  });

  test('a missing contrast is named, and stops nothing else; a link to nowhere is passed over', async () => {
    const [patient] = readdirSync(at('brats'));
    symlinkSync('gone', at(`brats/${patient}/annexed`));
    rmSync(at(`brats/${patient}/${patient}_t1ce.nii.gz`));
    const { summary } = await prepared('bms', 'brats', { size: [16, 16, 16] });
    expect(summary.failures).toHaveLength(1);
    expect(summary.failures[0]!.message).toMatch(/incomplete[\s\S]*also t1ce/);
  });
});

describe('layouts of CT', () => {
  /** A scan that was scaled to 0 … 1 before, in its place. */
  const rescale = async (path: string) => {
    const volume = await readVolume(path);
    const voxels = Float32Array.from(volume.voxels, (hu) => (hu + 1024) / 4095);
    if (path.endsWith('.mhd')) await writeMetaImage(path, { ...volume, voxels });
    else await writeNifti(path, { ...volume, voxels });
  };

  test.each<[TaskName, PhantomTask, string]>([
    ['ncc', 'ncc', 'subset0/phantom-0000.mhd'],
    ['ncs', 'ncc', 'subset0/phantom-0000.mhd'],
    ['lcs', 'lcs', 'volume-0.nii'],
    ['ecc', 'ecc', 'phantom-0000.nii.gz'],
  ])(
    '%s: a scan whose values are no HU is refused, unless it is said what they are',
    async (task, layout, scan) => {
      const name = `values-${task}`;
      await phantoms(layout, name, 3, [32, 32, 24]);
      await rescale(join(at(name), scan));
      const options = { task, input: at(name), out: at(`store-${stores++}`), size: [8, 8, 8] as XYZ };
      const { failures } = await prepareSamples(options);
      expect(failures).toHaveLength(1);
      expect(failures[0]!.message).toContain(join(at(name), scan));
      expect(failures[0]!.message).toMatch(/do not look like HU[\s\S]*values scaled to 1/);

      expect((await prepareSamples({ ...options, normalise: 'hu' })).failures).toEqual([]);
      // What was taken on trust is not found finished without it.
      expect((await prepareSamples(options)).failures).toHaveLength(1);
      const { failures: none, out } = await prepareSamples({ ...options, normalise: 'minmax' });
      expect(none).toEqual([]);
      const store = openSampleStore(out);
      expect(store.manifest).toMatchObject({ type: 'float32', window: null });
      const own = store.manifest.samples.find(({ id }) => /^(phantom-0000|volume-0)-/.test(id))!;
      const { image } = readSample(store, own);
      expect(Math.min(...image)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...image)).toBeGreaterThan(0.2);
      expect(Math.max(...image)).toBeLessThanOrEqual(1);
    },
  );
});

describe('a store knows what it was made from', () => {
  /** Turns a scan into another one of the same header and size. */
  const invert = async (path: string) => {
    const volume = await readVolume(path);
    const changed = { ...volume, voxels: volume.voxels.map((hu) => -hu) as typeof volume.voxels };
    if (path.endsWith('.mhd')) await writeMetaImage(path, changed);
    else await writeNifti(path, changed);
  };
  const replaceIn = (path: string, pattern: RegExp, text: string) =>
    writeFileSync(path, readFileSync(path, 'utf8').replace(pattern, text));

  test.each<[TaskName, string, number, XYZ, (input: string) => Promise<void> | void]>([
    ['ncc', 'another scan', 3, [32, 32, 24], (input) => invert(join(input, 'subset0/phantom-0000.mhd'))],
    [
      'ncc',
      'another class',
      3,
      [32, 32, 24],
      (input) => replaceIn(join(input, 'candidates_V2.csv'), /,0\n/, ',1\n'),
    ],
    ['ncs', 'another mask', 3, [64, 64, 64], (input) => invertMask(input)],
    [
      'lcs',
      'another mask',
      3,
      [32, 32, 24],
      (input) => copyFileSync(join(input, 'segmentation-1.nii'), join(input, 'segmentation-0.nii')),
    ],
    [
      'ecc',
      'another label',
      3,
      [32, 32, 24],
      (input) => replaceIn(join(input, 'candidates.csv'), /,0(?=,patient 0)/, ',1'),
    ],
    ['bms', 'another contrast', 3, [24, 24, 24], (input) => invert(contrastOf(input))],
  ])('%s: %s is read again', async (task, _, scans, size, change) => {
    const name = `known-${task}-${stores}`;
    await phantoms(task as PhantomTask, name, scans, size);
    const options = { task, input: at(name), size: [8, 8, 8] as XYZ };
    const before = await prepareSamples({ ...options, out: at(`${name}-store`) });
    await change(at(name));
    const again = await prepareSamples({ ...options, out: at(`${name}-store`) });
    const fresh = await prepareSamples({ ...options, out: at(`store-${stores++}`) });
    expect(again.hash).toBe(fresh.hash);
    expect(again.hash).not.toBe(before.hash);
  });

  const contrastOf = (input: string) => {
    const [patient] = readdirSync(input);
    return join(input, patient!, `${patient}_t1.nii.gz`);
  };
  const invertMask = async (input: string) => {
    const folder = join(input, 'nodule_mask');
    const path = join(folder, readdirSync(folder)[0]!);
    const volume = await readVolume(path);
    await writeNifti(path, {
      ...volume,
      voxels: volume.voxels.map((label) => 1 - label) as typeof volume.voxels,
    });
  };
});

test('the commands: phantom --task, then prepare --task', async () => {
  const written = await p2w([
    'phantom',
    '--task',
    'bms',
    '--out',
    at('cli'),
    '--scans',
    '3',
    '--size',
    '24x24x24',
  ]);
  expect(written.code, written.stderr).toBe(0);
  expect(written.stdout).toContain('next: p2w prepare --task bms');
  const prepared = await p2w([
    ...[
      'prepare',
      '--task',
      'bms',
      '--input',
      at('cli'),
      '--out',
      at('cli-store'),
      '--size',
      '16x16x16',
      '--json',
    ],
  ]);
  expect(lastJson(prepared)).toMatchObject({ task: 'bms', kind: 'segmentation', failures: [] });
});

test.skipIf(!existsSync(REAL))(
  'real data: LIDC crops are read, a BraTS without T1 and T2 says so',
  async () => {
    // Every 40th: `npm run test:long` reads them all.
    const [header, ...rows] = readFileSync(join(REAL_LIDC, 'labels.csv'), 'utf8').trimEnd().split('\n');
    const crops = rows.filter((_, i) => i % 40 === 0);
    for (const kind of ['image', 'nodule_mask']) {
      mkdirSync(at(`lidc-crops/${kind}`), { recursive: true });
      for (const [file] of crops.map((row) => row.split(',')))
        copyFileSync(join(REAL_LIDC, kind, file!), at(`lidc-crops/${kind}/${file}`));
    }
    writeFileSync(at('lidc-crops/labels.csv'), [header, ...crops].join('\n'));
    const { summary, store } = await prepared('ncs', 'lidc-crops', { size: [32, 32, 16] });
    expect(summary.failures).toEqual([]);
    expect(store.manifest.samples).toHaveLength(crops.length);
    const brats = await prepareSamples({
      ...{ task: 'bms', input: join(REAL, 'brats2013_deepmedic'), out: at('real-brats') },
    });
    expect(brats.failures.length).toBeGreaterThan(0);
    for (const { message } of brats.failures) expect(message).toMatch(/incomplete[\s\S]*t1/);
  },
);
