/** DICOM from a hospital, through all commands that read scans: what becomes of it, and that nobody is named. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { embed } from '../../src/commands/embed.js';
import { exportModel } from '../../src/commands/export.js';
import { formatInspection, inspect } from '../../src/commands/inspect.js';
import { formatPrepare, type PrepareOptions, prepare } from '../../src/commands/prepare.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { segment } from '../../src/commands/segment.js';
import { fromSettings } from '../../src/config/settings.js';
import { openSampleStore } from '../../src/data/samples/store.js';
import { findScans } from '../../src/data/scan/index.js';
import { readManifest } from '../../src/data/store/manifest.js';
import { openTileStore } from '../../src/data/store/tiles.js';
import type { Reporter } from '../../src/progress.js';
import { randomStream } from '../../src/random.js';
import {
  bytesOf,
  ctSlice,
  dicomBytes,
  type Elements,
  PLANTED,
  writeFiles,
} from '../data/scan/dicom/writer.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeThresholds } from '../inference/models.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const ROOT = PLANTED.at(-1)!;
const [WIDTH, HEIGHT, DEPTH] = [16, 8, 8] as const;

/** A slice of noise in HU of the series `number`. */
function noise(number: number, z: number, more: Elements = {}): Uint8Array {
  const random = randomStream(number, 'dicom', z);
  const pixels = Int16Array.from({ length: WIDTH * HEIGHT }, () => random.integer(1500) - 1000);
  return dicomBytes(
    ctSlice(z, {
      '00080018': ['UI', `${ROOT}.${number}.${z}`],
      '0020000e': ['UI', `${ROOT}.3.${number}`],
      '00280010': ['US', HEIGHT],
      '00280011': ['US', WIDTH],
      '7fe00010': ['OW', bytesOf(pixels)],
      ...more,
    }),
  );
}

/** Files of a series. */
const files = (number: number, slices: readonly number[], more: (z: number) => Elements = () => ({})) =>
  Object.fromEntries(slices.map((z) => [`st${number % 2}/${number}-${z}`, noise(number, z, more(z))]));
const ALL = [...Array(DEPTH).keys()];

/** All that was logged. */
const lines: string[] = [];
const progress = { update: () => {}, log: (line: string) => lines.push(line), stop: () => {} };
const reporter: Reporter = { log: progress.log, start: () => progress };

beforeAll(() => {
  writeFiles(at('hospital'), {
    ...files(1, ALL),
    ...files(2, ALL, (z) => ({ '00200032': ['DS', `-10\\${20 + z}\\${2 * z}`] })),
    ...files(
      3,
      ALL.filter((z) => z !== 3),
    ),
    ...files(4, [0]),
    scout: noise(5, 0, { '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] }),
    report: dicomBytes({
      ...ctSlice(0),
      '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.88.67'],
      '0020000e': ['UI', `${ROOT}.9`],
    }),
    torn: noise(6, 0).subarray(0, 400),
  });
});

/** All text that a folder holds, and the names of its files. */
const textOf = (path: string): string =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .map((name) => `${name}\n${textOf(join(path, name))}`)
        .join('\n')
    : readFileSync(path, 'latin1');

function expectNobodyNamed(...texts: string[]): void {
  for (const planted of PLANTED) expect(texts.join('\n')).not.toContain(planted);
}

const run = (out: string, options: Partial<PrepareOptions> = {}) =>
  prepare({
    input: [at('hospital')],
    out: at(out),
    size: [16, 8, 8],
    valFraction: 0.5,
    reporter,
    ...options,
  });

describe('prepare', () => {
  test('tiles the series that are whole, says what was mended, refused and passed over, and names nobody', async () => {
    lines.length = 0;
    const summary = await run('tiles');
    // The straightened one is taller.
    expect(summary.scans.map(({ tiles }) => tiles).sort()).toEqual([1, 2]);
    expect(summary.scans.every(({ id }) => /^[0-9a-f]{12}$/.test(id))).toBe(true);
    expect(summary.scans.filter(({ resampled }) => resampled?.includes('tilted'))).toHaveLength(1);
    expect(summary.failures.map(({ message }) => message)).toEqual([
      expect.stringContaining('slices are missing'),
    ]);
    const passed = lines.filter((line) => line.includes('passed over'));
    for (const what of ['a localiser', 'a single image', 'a dose report', 'a broken file'])
      expect(passed.filter((line) => line.includes(what))).toHaveLength(1);
    expectNobodyNamed(JSON.stringify(summary), formatPrepare(summary), ...lines, textOf(at('tiles')));
    expect(textOf(at('tiles'))).not.toContain('st1');
  });

  test('keeps identifiers only where it is told to', async () => {
    const { scans } = await run('kept', { keepUids: true });
    expect(scans.map(({ id }) => id)).toEqual([`${ROOT}.3.1`, `${ROOT}.3.2`]);
    const files = textOf(at('kept'));
    for (const planted of PLANTED) if (planted !== ROOT) expect(files).not.toContain(planted);
  });

  test('goes on where it was, and does not depend on its threads', async () => {
    const { hash } = openTileStore(at('tiles'));
    expect((await run('tiles')).hash).toBe(hash);
    expect((await run('threads', { workers: 2 })).hash).toBe(hash);
  });
});

describe('names of files and folders that are those of patients', () => {
  const [NAME, ID] = PLANTED;
  const home = `${NAME}/${ID}`;
  /** Slices of a series, one of them without its last pixels. */
  const slices = (number: number, tornAt = -1) =>
    Object.fromEntries(
      ALL.map((z) => [`${NAME}_${z}`, noise(number, z).subarray(0, z === tornAt ? -100 : undefined)]),
    );

  beforeAll(() => {
    writeFiles(at(`named/${home}/1`), slices(1));
    writeFiles(at(`named/${home}/2`), slices(2, 5));
  });

  test('are not stored with tiles; whoever runs it is told which file is broken', async () => {
    for (const keepUids of [false, true]) {
      const out = `named-tiles-${keepUids}`;
      const summary = await run(out, { input: [at('named')], keepUids });
      expect(summary.scans).toHaveLength(1);
      const broken = at(`named/${home}/2/${NAME}_5`);
      expect(summary.failures).toMatchObject([
        { message: expect.stringContaining(`${broken}: the file is too short`) },
      ]);
      expect(formatPrepare(summary)).toContain(broken);
      expect(readManifest(at(out)).failures).toEqual([
        { source: expect.any(String), message: expect.stringMatching(/^the file is too short/) },
      ]);
      expect(textOf(at(out))).not.toMatch(/Jane|PATIENT4711/);
      expect(textOf(at(out))).not.toContain(folder);
    }
  });

  test('are not stored with samples of a table, whether or not they can be read', async () => {
    for (const series of [3, 4]) writeFiles(at(`named/${NAME}${series}`), slices(series));
    // A series by its folder, and by a slice; a broken one; one that is not there; two in one folder; and no label.
    const images = [`${NAME}3`, `${NAME}4/${NAME}_0`, `${home}/2`, `${ID}/gone`, home, NAME];
    const rows = images.map((image, i) => `${image},${i === 5 ? '' : i % 2}`);
    writeFileSync(at(`named/${ID}.csv`), `image,label\n${rows.join('\n')}\n`);
    const options = { task: 'manifest', input: at(`named/${ID}.csv`), out: at('named-samples') } as const;
    const summary = await prepareSamples({ ...options, size: [16, 8, 8] });
    const { samples, failures } = openSampleStore(options.out).manifest;
    expect(samples.map(({ id }) => id)).toEqual([
      expect.stringMatching(/^[0-9a-f]{12}$/),
      expect.stringMatching(/^[0-9a-f]{12}$/),
    ]);
    const told = summary.failures.map(({ source, message }) => `${source} ${message}`);
    for (const what of [
      /PATIENT4711\.csv, line 7 it has no label/,
      /Doe\^Jane_5: the file is too short/,
      /PATIENT4711\/gone: no such file/,
      /PATIENT4711: there are several scans/,
    ])
      expect(told.filter((line) => what.test(line))).toHaveLength(1);
    expect(failures).toHaveLength(told.length);
    expect(failures[0]).toEqual({ source: 'row 6', message: 'it has no label' });
    expect(textOf(options.out)).not.toMatch(/Jane|PATIENT4711/);
    expect(textOf(options.out)).not.toContain(folder);
  });
});

test('embed has a row for each series, and names nobody', async () => {
  mkdirSync(at('store'));
  await sampleStore(at('store'));
  const settings = ['whole=16x8x8', 'network.levels=2', 'network.width=2', 'batch=4', 'threads=1'];
  await pretrain({ data: at('store'), out: at('run'), config: fromSettings(settings, { steps: 1 }) });
  await exportModel({ run: at('run'), out: at('encoder') });
  lines.length = 0;
  const model = at('encoder/encoder.onnx');
  const options = { model, out: at('features/all.jsonl'), size: [16, 8, 8], threads: 1, reporter } as const;
  const summary = await embed({ ...options, input: [at('hospital')] });
  expect([summary.rows, summary.failures.length]).toEqual([2, 1]);
  expect(lines.filter((line) => line.includes('tilted'))).toHaveLength(1);
  expectNobodyNamed(JSON.stringify(summary), ...lines, textOf(at('features')));
});

describe('a series that is named', () => {
  const segmentTo = (out: string, input: string) =>
    segment({ model: at('thresholds.onnx'), input: [input], out: at(out), threads: 1 });
  let series: string;

  beforeAll(async () => {
    writeFiles(at('alone'), files(1, ALL));
    writeThresholds(at('thresholds.onnx'));
    writePretrained(at('maps.onnx'), 'encoder');
    [series] = (await findScans([at('alone')])) as [string];
    expect(series).toMatch(/alone#[0-9a-f]{12}$/);
  });

  test('is taken by commands that write folders, which must be apart from its own', async () => {
    const maps = { model: at('maps.onnx'), input: [series], out: at('maps'), threads: 1 };
    expect(await embed({ ...maps, per: 'map' })).toMatchObject({ rows: 1, failures: [] });
    expect((await run('series', { input: [series] })).scans).toHaveLength(1);
    expect(await segmentTo('masks', series)).toMatchObject({ scans: 1, failures: [] });
    await expect(run('alone/tiles', { input: [series] })).rejects.toThrow(/inside its own input folder/);
    await expect(segmentTo('alone', series)).rejects.toThrow(/the same folder as its input/);
  });

  test('is the same scan by its folder and by its files, and a copy elsewhere is another', async () => {
    for (const way of ['alone', 'alone/st1/1-0'])
      expect(await segmentTo('masks', at(way))).toMatchObject({ scans: 1, kept: 1 });
    writeFiles(at('copy'), files(1, ALL));
    await expect(segmentTo('masks', at('copy'))).rejects.toThrow(/another scan of the same name/);
    expectNobodyNamed(textOf(at('masks')));
    expect(textOf(at('masks'))).not.toContain('alone');
  });
});

test('inspect shows a tree, a series and a slice of it, and names nobody', async () => {
  const tree = await inspect(at('hospital'));
  expect(tree.kind).toBe('scans');
  const { scans, passedOver } = tree.facts as Record<string, Record<string, string>>;
  expect(Object.values(scans!)).toEqual(
    expect.arrayContaining([
      'DICOM, 16×8×8 voxels of 0.50×0.75×2.00 mm',
      'DICOM, 16×18×8 voxels of 0.50×0.75×2.00 mm',
      'slices are missing from the series',
    ]),
  );
  expect(Object.values(passedOver!)).toContain('a dose report');
  const slice = await inspect(at('hospital/st1/1-0'));
  expect(slice).toMatchObject({ kind: 'scan', facts: { format: 'DICOM', size: '16×8×8' } });
  const series = await inspect(Object.keys(scans!)[0]!);
  expect(series.kind).toBe('scan');
  for (const inspection of [tree, slice, series])
    expectNobodyNamed(JSON.stringify(inspection), formatInspection(inspection));
});

test('inspect of a folder with one series says what was passed over, as segment does', async () => {
  const scout = noise(5, 0, { '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] });
  const torn = noise(1, 3).subarray(0, 400);
  writeFiles(at('one'), { ...files(1, ALL), scout, torn });
  const { kind, facts } = await inspect(at('one'));
  expect([kind, facts.size]).toEqual(['scan', '16×8×8']);
  const what = Object.values(facts.passedOver as object);
  expect(what).toEqual(expect.arrayContaining(['a localiser', expect.stringContaining('a broken file')]));
  expect(what).toHaveLength(2);
  // A file that cannot be read may be the slice that is missing.
  writeFiles(at('gap'), {
    ...files(
      1,
      ALL.filter((z) => z !== 3),
    ),
    torn,
  });
  const gap = (await inspect(at('gap'))).facts;
  expect(Object.values(gap.scans as object)).toEqual(['slices are missing from the series']);
  expect(gap).toMatchObject({
    passedOver: { [at('gap/torn')]: expect.stringContaining('a broken file') },
  });
});

test('segmentations are masks for fine-tuning: of a folder, or of a table', async () => {
  const frames = [2, 3].map(
    (z): Elements => ({ '00209113': ['SQ', [{ '00200032': ['DS', `-10\\20\\${2 * z - 30}`] }]] }),
  );
  const mask = dicomBytes({
    ...ctSlice(0),
    '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.66.4'],
    '00080060': ['CS', 'SEG'],
    '00081115': ['SQ', [{ '0020000e': ['UI', `${ROOT}.3.1`] }]],
    '0020000e': ['UI', `${ROOT}.5`],
    '00280008': ['IS', '2'],
    '00280010': ['US', HEIGHT],
    '00280011': ['US', WIDTH],
    '00280100': ['US', 1],
    '52009229': ['SQ', [{ '0062000a': ['SQ', [{ '0062000b': ['US', 1] }]] }]],
    '52009230': ['SQ', frames],
    '7fe00010': ['OB', new Uint8Array(32).fill(0xff)],
  });
  writeFiles(at('labelled'), { 'labels/a': mask });
  writeFiles(at('labelled/images'), files(1, ALL));
  writeFileSync(at('labelled/table.csv'), 'image,mask\nimages,labels/a\n');
  const size = [WIDTH, HEIGHT, DEPTH] as const;
  for (const input of ['labelled', 'labelled/table.csv']) {
    const out = at(`samples-${input.length}`);
    const summary = await prepareSamples({ task: 'manifest', input: at(input), out, size });
    expect(summary.failures).toEqual([]);
    const store = openSampleStore(out);
    expect(store.manifest.samples).toHaveLength(1);
    const labels = readFileSync(
      join(out, 'shards', readdirSync(join(out, 'shards')).find((name) => /mask|label/.test(name))!),
    );
    const voxels = labels.subarray(labels.length - WIDTH * HEIGHT * DEPTH);
    const slices = ALL.filter((z) => voxels[z * WIDTH * HEIGHT] === 1);
    expect(slices).toEqual([2, 3]);
    expectNobodyNamed(JSON.stringify(summary), textOf(out));
  }
});
