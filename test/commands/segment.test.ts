import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { type SegmentOptions, segment } from '../../src/commands/segment.js';
import { orientLPS } from '../../src/data/scan/geometry.js';
import { readScanHeader, readVolume } from '../../src/data/scan/index.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { Volume, XYZ } from '../../src/data/scan/volume.js';
import { writeVolume } from '../../src/data/scan/write-volume.js';
import { portableModel } from '../../src/execution/models.js';
import type { StoredAdapter } from '../../src/inference/stored-adapter.js';
import type { Progress, Reporter } from '../../src/progress.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { thresholds, writeTarget, writeThresholds } from '../inference/models.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const byThresholds = at('thresholds.onnx');
writeThresholds(byThresholds);

const run = (options: Partial<SegmentOptions> & Pick<SegmentOptions, 'input' | 'out'>) =>
  segment({ model: byThresholds, threads: 1, ...options });

/** A reporter that keeps the lines. */
function listening(): { reporter: Reporter; lines: string[] } {
  const lines: string[] = [];
  const progress: Progress = { update: () => {}, log: (line) => lines.push(line), stop: () => {} };
  return { lines, reporter: { log: (line) => lines.push(line), start: () => progress } };
}

/** Everything below a folder, by name. */
const contentOf = (path: string) =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((file) => [file.slice(path.length), readFileSync(file, 'latin1')]),
  );

const OBLIQUE = [0.96, -0.28, 0, 0.28, 0.96, 0, 0, 0, 1];
const DIRECTIONS: Record<string, readonly number[]> = {
  'left, posterior, superior': [1, 0, 0, 0, 1, 0, 0, 0, 1],
  'right, anterior, superior': [-1, 0, 0, 0, -1, 0, 0, 0, 1],
  'feet last': [1, 0, 0, 0, 1, 0, 0, 0, -1],
  sagittal: [0, 0, 1, 1, 0, 0, 0, -1, 0],
  coronal: [1, 0, 0, 0, 0, 1, 0, -1, 0],
  oblique: OBLIQUE,
};
const scanOf = (size: XYZ, seed: number, direction = OBLIQUE): Volume => ({
  ...noiseVolume(size, seed),
  spacing: [0.7, 0.8, 2.5],
  origin: [-120.5, 33.25, 1001],
  direction,
});

const countOf = ({ voxels }: Volume, value: number) => Array.from(voxels).filter((v) => v === value).length;

describe('the mask of a scan', () => {
  test.each(Object.entries(DIRECTIONS))('lies on its own grid, %s', async (name, direction) => {
    const scan = at(`${name.replaceAll(/\W/g, '')}.nii.gz`);
    // Longer than a window along x and y, of no multiple of it, and thinner along z.
    const volume = scanOf([37, 21, 5], 1, [...direction]);
    await writeNifti(scan, volume);
    const out = at(`out-${name}`);
    await run({ input: [scan], out, batch: 3 });
    const [file] = readdirSync(join(out, 'masks'));
    const mask = await readVolume(join(out, 'masks', file!));
    expect(mask.voxels).toEqual(Int16Array.from(thresholds(volume.voxels)));
    const { grid } = await readScanHeader(scan);
    const { size, spacing, origin, direction: axes } = mask;
    expect({ size, spacing, origin, direction: axes }).toEqual(grid);
  });

  test.each(['nii', 'nii.gz', 'mha', 'nrrd'] as const)('is the same as %s', async (format) => {
    const scan = at(`as-${format}.mha`);
    const volume = scanOf([9, 30, 11], 2);
    await writeMetaImage(scan, volume);
    const out = at(`out-${format}`);
    await run({ input: [scan], out, format });
    const mask = await readVolume(join(out, 'masks', `as-${format}.${format}`));
    expect(mask.voxels).toEqual(Int16Array.from(thresholds(volume.voxels)));
    for (const [i, mm] of mask.origin.entries()) expect(mm).toBeCloseTo(volume.origin[i]!, 4);
  });

  test('is the same as NRRD', async () => {
    const scan = at('as-nrrd.mha');
    const volume = scanOf([9, 30, 11], 3);
    await writeMetaImage(scan, volume);
    await run({ input: [scan], out: at('out-nrrd'), format: 'nrrd' });
    const bytes = readFileSync(at('out-nrrd', 'masks', 'as-nrrd.nrrd'));
    const end = bytes.indexOf('\n\n') + 2;
    expect(new Uint8Array(gunzipSync(bytes.subarray(end)))).toEqual(thresholds(volume.voxels));
    const header = Object.fromEntries(
      bytes
        .toString('latin1', 0, end)
        .trim()
        .split('\n')
        .map((line) => line.split(': ')),
    );
    expect(header).toMatchObject({
      type: 'uint8',
      sizes: '9 30 11',
      space: 'left-posterior-superior',
      encoding: 'gzip',
      'space origin': '(-120.5,33.25,1001)',
    });
    const axes = [...header['space directions'].matchAll(/\(([^)]+)\)/g)].map((match) =>
      match[1].split(',').map(Number),
    );
    for (const [axis, vector] of axes.entries())
      for (const [row, mm] of vector.entries())
        expect(mm).toBeCloseTo(OBLIQUE[3 * row + axis]! * volume.spacing[axis]!, 9);
  });

  test('of a network that sees neighbours is that of the whole scan at once, where the scan fits in a window', async () => {
    const model = at('network.onnx');
    writeTarget(model, 'segmentation', ['a', 'b', 'c']);
    const volume = scanOf([24, 20, 12], 4, [-1, 0, 0, 0, -1, 0, 0, 0, 1]);
    await writeNifti(at('fits.nii'), volume);
    const out = at('out-fits');
    await run({
      model,
      input: [at('fits.nii')],
      out,
      window: [24, 20, 12],
      probabilities: true,
      format: 'nii',
    });
    const session = await nodeEngine.load(readFileSync(model), { threads: 1 });
    const { voxels } = orientLPS(volume);
    const image = { type: 'int16', shape: [1, 1, 12, 20, 24], data: voxels as Int16Array } as const;
    const { probabilities } = await session.run({ image });
    await session.release();
    const expected = probabilities!.data as Float32Array;
    const mask = orientLPS(await readVolume(join(out, 'masks/fits.nii')));
    for (const [c, name] of ['a', 'b', 'c'].entries()) {
      const map = orientLPS(await readVolume(join(out, `probabilities/${name}/fits.nii`)));
      for (const [i, p] of map.voxels.entries())
        expect(Math.abs(p - expected[c * voxels.length + i]!)).toBeLessThan(1e-5);
    }
    for (const [i, label] of mask.voxels.entries()) {
      const each = [0, 1, 2].map((c) => expected[c * voxels.length + i]!);
      const most = Math.max(...each);
      expect(label).toBe(most > 0.5 ? each.indexOf(most) + 1 : 0);
    }
  });

  test('comes back from the spacing that the model was trained at', async () => {
    const model = at('coarse.onnx');
    writeThresholds(model, { spacing: '1.5x1.5x3', sample_size: '16x16x8' });
    const size: XYZ = [60, 50, 40];
    const volume = scanOf(size, 5);
    const radius = 15;
    for (const i of volume.voxels.keys()) {
      const place = [i % 60, Math.floor(i / 60) % 50, Math.floor(i / 3000)];
      const mm = Math.hypot(...place.map((p, axis) => (p - [28, 24, 20][axis]!) * volume.spacing[axis]!));
      volume.voxels[i] = mm < radius ? 100 : -700;
    }
    await writeNifti(at('ball.nii.gz'), volume);
    let windows = '';
    const progress: Progress = {
      ...{ log: () => {}, stop: () => {} },
      update: (_, fields) => {
        windows = fields?.windows ?? windows;
      },
    };
    const reporter: Reporter = { log: () => {}, start: () => progress };
    const { volumes } = await run({ model, input: [at('ball.nii.gz')], out: at('out-ball'), reporter });
    // 28×27×33 voxels of that spacing, in windows of which the next one covers half.
    expect(windows).toBe('72/72');
    const { voxels } = await readVolume(at('out-ball/masks/ball.nii.gz'));
    let both = 0;
    for (const [i, label] of voxels.entries()) if (label === 1 && volume.voxels[i] === 100) both++;
    const reference = countOf(volume, 100);
    expect((2 * both) / (reference + volumes[0]!.voxels)).toBeGreaterThan(0.96);
    expect(volumes[0]!.ml / ((4 / 3) * Math.PI * (radius / 10) ** 3)).toBeGreaterThan(0.9);
    expect(volumes[0]!.ml / ((4 / 3) * Math.PI * (radius / 10) ** 3)).toBeLessThan(1.1);
  });
});

describe('options', () => {
  test('remove what is small or not connected, and volumes are what is left, in ml', async () => {
    const volume = scanOf([30, 30, 10], 6);
    volume.voxels.fill(-1000);
    const box = (from: XYZ, to: XYZ, hu: number) => {
      for (let z = from[2]; z < to[2]; z++)
        for (let y = from[1]; y < to[1]; y++)
          for (let x = from[0]; x < to[0]; x++) volume.voxels[x + 30 * (y + 30 * z)] = hu;
    };
    box([1, 1, 1], [6, 6, 6], 0); // 125 voxels
    box([10, 10, 1], [14, 14, 5], 0); // 64 voxels
    box([20, 20, 2], [22, 22, 4], 0); // 8 voxels
    box([24, 2, 2], [27, 5, 5], 900); // 27 voxels of bone
    await writeNifti(at('boxes.nii.gz'), volume);
    const voxelMl = 0.7 * 0.8 * 2.5e-3;
    const counts = async (out: string, more: Partial<SegmentOptions>) => {
      const { volumes } = await run({ input: [at('boxes.nii.gz')], out: at(out), ...more });
      return volumes.map(({ voxels }) => voxels);
    };
    expect(await counts('all', {})).toEqual([197, 27]);
    // Pictures have the mask's colours, where it is.
    const { data, channels } = decode(readFileSync(at('all/pictures/boxes.png')));
    const coloured = Array.from(
      { length: data.length / channels },
      (_, i) => data[3 * i]! !== data[3 * i + 1]!,
    );
    expect(coloured.filter(Boolean).length).toBeGreaterThan(10);
    expect(await counts('large', { minimumVolume: 30 * voxelMl })).toEqual([189, 0]);
    expect(await counts('largest', { largestComponent: true })).toEqual([125, 27]);
    const lines = readFileSync(at('all/volumes.csv'), 'utf8').trimEnd().split('\n');
    expect(lines).toEqual([
      'scan,label,class,voxels,ml',
      `boxes,1,tissue,197,${Number((197 * voxelMl).toFixed(4))}`,
      `boxes,2,bone,27,${Number((27 * voxelMl).toFixed(4))}`,
    ]);
    expect(countOf(await readVolume(at('largest/masks/boxes.nii.gz')), 1)).toBe(125);
  });
});

test('a scan for which the model gives no numbers has failed, and has no mask', async () => {
  const g = new GraphBuilder('overflown');
  const image = g.input('image', 'float32', ['N', 1, 'D', 'H', 'W']);
  g.output('probabilities', g.add('Sqrt', [g.add('Neg', [g.add('Abs', [image])])]));
  const metadata = { classes: '["tissue"]', normalise: 'hu', sample_size: '16x16x8' };
  writeFileSync(at('overflown.onnx'), portableModel(g.build(), { documentation: 'a test', metadata }));
  const scan = at('any.nii.gz');
  await writeNifti(scan, scanOf([16, 16, 8], 4));
  const { failures } = await run({ model: at('overflown.onnx'), input: [scan], out: at('overflown') });
  expect(failures[0]!.message).toMatch(
    /no finite numbers for this scan[\s\S]*NaN in the output "probabilities"/,
  );
  expect(existsSync(at('overflown', 'masks'))).toBe(false);
});

describe('many scans', () => {
  const scans = at('scans');
  mkdirSync(scans);

  test('one that cannot be read does not stop the others, and finished ones are kept', async () => {
    for (const [i, name] of ['a', 'b', 'd'].entries())
      await writeNifti(join(scans, `${name}.nii.gz`), scanOf([20, 20, 10], 10 + i));
    writeFileSync(join(scans, 'c.nii.gz'), 'no scan');
    const { reporter, lines } = listening();
    const out = at('many');
    const first = await run({ input: [scans], out, reporter });
    expect(first).toMatchObject({ scans: 3, kept: 0 });
    expect(first.failures.map(({ source }) => source)).toEqual([join(scans, 'c.nii.gz')]);
    expect(lines.join('\n')).toContain('c.nii.gz');
    expect(readdirSync(join(out, 'masks'))).toEqual(['a.nii.gz', 'b.nii.gz', 'd.nii.gz']);

    // A kill in the middle of the second mask, and of its line.
    const whole = contentOf(out);
    expect(await run({ input: [join(scans, 'c.nii.gz')], out })).toMatchObject({ scans: 0, volumes: [] });
    expect(contentOf(out)).toEqual(whole);
    const journal = join(out, 'finished.jsonl');
    const [settings, a, b] = readFileSync(journal, 'utf8').split('\n');
    writeFileSync(journal, `${settings}\n${a}\n${b!.slice(0, 20)}`);
    rmSync(join(out, 'volumes.csv'));
    writeFileSync(join(out, 'masks/.b.nii.gz.01234567.tmp'), 'half');
    expect(await run({ input: [scans], out })).toMatchObject({ scans: 3, kept: 1 });
    expect(contentOf(out)).toEqual(whole);

    // A scan that is another now, and a mask that was deleted.
    await writeNifti(join(scans, 'a.nii.gz'), scanOf([20, 20, 9], 20));
    rmSync(join(out, 'masks/b.nii.gz'));
    expect(await run({ input: [scans], out })).toMatchObject({ scans: 3, kept: 1 });
    expect((await readVolume(join(out, 'masks/a.nii.gz'))).size).toEqual([20, 20, 9]);
    expect(contentOf(out)['/masks/b.nii.gz']).toBe(whole['/masks/b.nii.gz']);
  });

  test('the table has all scans that have masks in the folder, of whichever call', async () => {
    const out = at('added');
    const tableOf = () =>
      readFileSync(join(out, 'volumes.csv'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => line.split(',').slice(0, 3).join(' '));
    const of = (...names: string[]) => [
      'scan label class',
      ...names.flatMap((name) => [`${name} 1 tissue`, `${name} 2 bone`]),
    ];
    await run({ input: [join(scans, 'a.nii.gz'), join(scans, 'b.nii.gz')], out });
    const [, ...earlier] = readFileSync(join(out, 'volumes.csv'), 'utf8').split('\n');
    const { volumes } = await run({ input: [join(scans, 'd.nii.gz')], out });
    expect(volumes.map(({ scan }) => scan)).toEqual(['d', 'd']);
    expect(tableOf()).toEqual(of('d', 'a', 'b'));
    expect(readFileSync(join(out, 'volumes.csv'), 'utf8')).toContain(earlier.join('\n'));
    // A mask that was deleted has no row.
    rmSync(join(out, 'masks/a.nii.gz'));
    await run({ input: [join(scans, 'd.nii.gz')], out });
    expect(tableOf()).toEqual(of('d', 'b'));
    // A scan that fails now keeps the mask that is there, and its rows.
    const before = readFileSync(join(scans, 'b.nii.gz'));
    writeFileSync(join(scans, 'b.nii.gz'), 'no scan');
    expect(await run({ input: ['b', 'd'].map((name) => join(scans, `${name}.nii.gz`)), out })).toMatchObject({
      scans: 1,
      failures: [{}],
    });
    expect(tableOf()).toEqual(of('d', 'b'));
    writeFileSync(join(scans, 'b.nii.gz'), before);
  });

  test('results of another scan of the same name are kept, and not taken for its own', async () => {
    const [one, other] = ['p1', 'p2'].map((patient, i) => {
      mkdirSync(at(patient));
      return { path: at(patient, 'ct.nii'), volume: scanOf([20, 20, 10], 40 + i) };
    }) as [{ path: string; volume: Volume }, { path: string; volume: Volume }];
    for (const { path, volume } of [one, other]) {
      await writeNifti(path, volume);
      utimesSync(path, 1e9, 1e9);
    }
    const out = at('patients');
    await run({ input: [one.path], out });
    const whole = contentOf(out);
    // Of the same size and time, then of another time.
    for (const seconds of [1e9, 2e9]) {
      utimesSync(other.path, seconds, seconds);
      await expect(run({ input: [other.path], out })).rejects.toThrow(
        /another scan of the same name[\s\S]*p2[\s\S]*choose another --out/,
      );
      expect(contentOf(out)).toEqual(whole);
    }
    // By another way it is the same scan.
    symlinkSync(at('p1'), at('link'));
    expect(await run({ input: [at('link', 'ct.nii')], out })).toMatchObject({ scans: 1, kept: 1 });
    // Where a scan lies may name the patient; older versions kept nothing of it.
    const journal = whole['/finished.jsonl']!;
    expect(journal).not.toContain('p1');
    writeFileSync(join(out, 'finished.jsonl'), journal.replace(/"place":"[0-9a-f]+",/, ''));
    expect(await run({ input: [one.path], out })).toMatchObject({ scans: 1, kept: 1 });
  });

  test('results of other options are not mixed with those that are there', async () => {
    const out = at('many');
    await expect(run({ input: [scans], out, overlap: 0.25 })).rejects.toThrow(
      /another model or other options[\s\S]*overlap 0.25 instead of 0.5/,
    );
    writeThresholds(at('other.onnx'), { license: 'other' });
    await expect(run({ model: at('other.onnx'), input: [scans], out })).rejects.toThrow(/model "/);
    appendFileSync(join(out, 'finished.jsonl'), 'nonsense\n');
    await expect(run({ input: [scans], out })).rejects.toThrow(/finished scans is damaged/);
  });

  test('nothing that is there is overwritten', async () => {
    const others = at('others');
    mkdirSync(join(others, 'masks'), { recursive: true });
    writeFileSync(join(others, 'masks/a.nii.gz'), 'mine');
    await expect(run({ input: [scans], out: others })).rejects.toThrow(/contains other files[\s\S]*masks/);
    for (const out of [scans, join(scans, 'results'), folder])
      await expect(run({ input: [scans], out })).rejects.toThrow(/the results would be/);
    expect(existsSync(join(scans, 'results'))).toBe(false);
  });
});

/** A segmenter of slices, made elsewhere. */
function writeSlices(path: string): void {
  const g = new GraphBuilder('slices');
  g.output('logits', g.add('Relu', [g.input('image', 'float32', ['N', 1, 'H', 'W'])]));
  const adapter: StoredAdapter = {
    ...{ kind: 'segmentation', classes: 1, channels: 1, repeat: 1, axes: 'NCHW', clip: null },
    ...{ offset: 0, scale: 1, output: 'logits', values: 'logits' },
  };
  const metadata = { classes: '["one"]', image_adapter: JSON.stringify(adapter), normalise: 'hu' };
  writeFileSync(path, portableModel(g.build(), { documentation: 'a test', metadata }));
}

describe('refused', () => {
  const scan = at('refused.nii');
  const outOf = (name: string) => ({ input: [scan], out: at(`refused-${name}`) });

  test('models that give no masks of a scan, with what to do', async () => {
    await writeNifti(scan, scanOf([8, 8, 8], 30));
    writeTarget(at('classifier.onnx'), 'classification', ['no', 'yes']);
    await expect(run({ ...outOf('a'), model: at('classifier.onnx') })).rejects.toThrow(
      /a classifier gives probabilities of classes, not masks[\s\S]*p2w classify/,
    );
    writeThresholds(at('two.onnx'), {}, 2);
    await expect(run({ ...outOf('b'), model: at('two.onnx') })).rejects.toThrow(
      /several channels[\s\S]*2 channels/,
    );
    writeThresholds(at('three.onnx'), { classes: '["one"]' });
    await expect(run({ ...outOf('c'), model: at('three.onnx') })).rejects.toThrow(/classes[\s\S]*2 names/);
    writeThresholds(at('old.onnx'), { normalise: '', preprocessing: 'outside the model: …' });
    await expect(run({ ...outOf('d'), model: at('old.onnx') })).rejects.toThrow(/normalised/);
    writeThresholds(at('torn.onnx'), { image_adapter: '{"kind":' });
    await expect(run({ ...outOf('l'), model: at('torn.onnx') })).rejects.toThrow(/damaged: image_adapter/);
    const adapter = {
      ...{ kind: 'segmentation', classes: 2, channels: 1, repeat: 1, axes: 'NCDHW', clip: null },
      ...{ offset: 0, scale: 1, output: 'logits', values: 'logits' },
    };
    writeThresholds(at('other.onnx'), { image_adapter: JSON.stringify(adapter) });
    await expect(run({ ...outOf('m'), model: at('other.onnx') })).rejects.toThrow(
      /does not have[\s\S]*outputs probabilities[\s\S]*an output logits/,
    );
    await expect(run({ ...outOf('e'), model: scan })).rejects.toThrow(/not an ONNX model|p2w export/);
  });

  test('windows and options that cannot be', async () => {
    writeTarget(at('poolings.onnx'), 'segmentation', ['a']);
    const model = at('poolings.onnx');
    await expect(run({ ...outOf('f'), model, window: [18, 16, 8] })).rejects.toThrow(
      /poolings[\s\S]*18×16×8[\s\S]*multiples of 4, 4, 4/,
    );
    writeSlices(at('slices.onnx'));
    await expect(run({ ...outOf('n'), model: at('slices.onnx'), window: [8, 8, 4] })).rejects.toThrow(
      /images of another size[\s\S]*8×8×4[\s\S]*any×any×1/,
    );
    await expect(run({ ...outOf('g'), window: [4e4, 4e4, 4e4] })).rejects.toThrow(/does not fit in memory/);
    await expect(run({ ...outOf('h'), overlap: 1 })).rejects.toThrow(/share of a window/);
    await expect(run({ ...outOf('i'), batch: 0.5 })).rejects.toThrow(/--batch/);
    await expect(run({ ...outOf('j'), minimumVolume: Number.NaN })).rejects.toThrow(/volume in ml/);
    await expect(run({ ...outOf('k'), format: 'dcm' as 'nii' })).rejects.toThrow(/--format[\s\S]*nii\.gz/);
    expect(readdirSync(folder).filter((name) => name.startsWith('refused-'))).toEqual([]);
  });

  test('a slab that does not fit fails its scan only', async () => {
    await writeVolume(at('wide.nii'), scanOf([64, 64, 2], 31), 'nii');
    const { failures } = await run({ input: [at('wide.nii')], out: at('wide'), window: [2, 2, 20_000_000] });
    expect(failures[0]!.message).toMatch(/slab[\s\S]*smaller along z/);
  });
});
