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
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { type EmbedOptions, embed } from '../../src/commands/embed.js';
import { cropImage } from '../../src/data/scan/crop.js';
import { orientLPS, voxelToWorld } from '../../src/data/scan/geometry.js';
import { readVolume } from '../../src/data/scan/index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { parseNpy } from '../../src/data/scan/npy.js';
import type { Grid, Volume, XYZ } from '../../src/data/scan/volume.js';
import { asInt16 } from '../../src/int16.js';
import type { Tensors } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { relativeError } from '../graphs/run.js';
import { writePretrained, writeTarget } from '../inference/models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const model = at('encoder.onnx');
writePretrained(model, 'encoder');

const scans = at('scans');
mkdirSync(scans);
/** Right, anterior, superior, as many files have it. */
const scanOf = (size: XYZ, seed: number): Volume => ({
  ...noiseVolume(size, seed),
  ...{ spacing: [0.5, 1, 2], origin: [10, 20, 30], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] },
});
const large = scanOf([40, 21, 13], 1);
const small = scanOf([9, 12, 5], 2);
await writeNifti(join(scans, 'large.nii.gz'), large);
await writeNifti(join(scans, 'small.nii.gz'), small);

interface Row {
  readonly source: string;
  readonly offset: XYZ | null;
  readonly centre: XYZ | null;
  readonly windows: number;
  readonly features: readonly number[];
}
const rowsOf = (path: string): Row[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const run = (options: Partial<EmbedOptions> & Pick<EmbedOptions, 'out'>) =>
  embed({ model, input: [scans], threads: 1, ...options });

/** What the file as it is makes of a box of a scan, with air outside. */
async function outputsOf(volume: Volume, first: XYZ, size: XYZ): Promise<Tensors> {
  const data = asInt16(cropImage(orientLPS(volume), { size, first, step: [1, 1, 1] }, -1000));
  const session = await nodeEngine.load(readFileSync(model), { threads: 1 });
  const outputs = await session.run({ hu: { type: 'int16', shape: [1, ...size.toReversed()], data } });
  await session.release();
  return outputs;
}

describe('embed', () => {
  test('covers whole scans with windows, those at the end moved back, and scans smaller than one padded', async () => {
    const out = at('windows.jsonl');
    expect(await run({ out, per: 'window', batch: 4 })).toMatchObject({
      rows: 3 * 2 * 2 + 1,
      dimensions: 32,
    });
    const rows = rowsOf(out);
    expect(rows.map(({ offset }) => offset![0]).slice(0, 3)).toEqual([0, 16, 24]);
    expect(rows.at(-1)).toMatchObject({ source: 'small', offset: [-3, -2, -1], windows: 1 });
    for (const { source, offset, centre, features } of rows) {
      const volume = source === 'large' ? large : small;
      const { features: expected } = await outputsOf(volume, offset!, [16, 16, 8]);
      expect(relativeError(features, expected!.data as Float32Array)).toBeLessThan(1e-5);
      const middle = offset!.map((first, i) => first + ([16, 16, 8][i]! - 1) / 2) as unknown as XYZ;
      for (const [i, mm] of voxelToWorld(orientLPS(volume), middle).entries())
        expect(centre![i]).toBeCloseTo(mm, 4);
    }
    const means = at('scans.jsonl');
    await run({ out: means });
    const [first] = rowsOf(means);
    expect(first).toMatchObject({ source: 'large', offset: null, centre: null, windows: 12 });
    const own = rows.filter(({ source }) => source === 'large');
    for (const [c, value] of first!.features.entries())
      expect(value).toBeCloseTo(own.reduce((sum, { features }) => sum + features[c]!, 0) / 12, 4);
  });

  test('knows the place of the tiles of a store', async () => {
    await sampleStore(at('tiles'));
    const out = at('tiles.jsonl');
    await run({ input: [at('tiles')], out });
    expect(rowsOf(out)[1]).toMatchObject({ source: 'scan0', offset: [16, 0, 0], centre: [23.5, 3.5, 3.5] });
  });

  test.each([
    ['scan', 1],
    ['window', 12],
  ] as const)(
    'gives the same rows after a kill, with what was finished before: a row for each %s',
    async (per, rows) => {
      const out = at(`killed-${per}.jsonl`);
      await run({ out, per });
      const whole = readFileSync(out);
      rmSync(out);
      const stop = () => {};
      const update = (done: number) => {
        if (done === 1) throw new Error('killed');
      };
      const reporter = { log: stop, start: () => ({ update, log: stop, stop }) };
      await expect(run({ out, per, reporter })).rejects.toThrow('killed');
      const [, finished, ...others] = readFileSync(`${out}.unfinished`, 'utf8').split('\n');
      expect(JSON.parse(finished!).entry).toHaveLength(rows);
      expect(others).toEqual(['']);
      await run({ out, per });
      expect(readFileSync(out).equals(whole)).toBe(true);
      expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([]);
    },
  );

  test('writes feature maps that know where they lie', async () => {
    const out = at('maps');
    const input = [join(scans, 'large.nii.gz'), join(scans, 'small.nii.gz')];
    expect(await run({ input, out, per: 'map' })).toMatchObject({ rows: 2, dimensions: 32 });
    const map = (name: string) => parseNpy(name, readFileSync(join(out, `${name}.npy`)));
    const place = (name: string): Grid => JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8'));
    // 40×21×13 voxels in blocks of 4.
    expect(map('large').shape).toEqual([32, 4, 6, 10]);
    expect(place('large')).toMatchObject({ size: [10, 6, 4], spacing: [2, 4, 8] });
    const lps = orientLPS(large);
    for (const [i, mm] of voxelToWorld(lps, [1.5, 1.5, 1.5]).entries())
      expect(place('large').origin[i]).toBeCloseTo(mm, 4);
    // A scan within one window has the map of that window, without what is beyond the scan: 3×3×2 of 4×4×2 blocks.
    const { feature_map: padded } = await outputsOf(small, [0, 0, 0], [16, 16, 8]);
    const { data, shape } = map('small');
    expect(shape).toEqual([32, 2, 3, 3]);
    const expected = Array.from(data as Float32Array, (_, i) => {
      const [x, y, rest] = [i % 3, Math.floor(i / 3) % 3, Math.floor(i / 9)];
      return (padded!.data as Float32Array)[x + 4 * (y + 4 * rest)]!;
    });
    expect(relativeError(data as Float32Array, expected)).toBeLessThan(1e-5);
    await writeNifti(at('whole.nii'), scanOf([16, 16, 8], 4));
    await run({ input: [at('whole.nii')], out: at('one'), per: 'map' });
    const { feature_map } = await outputsOf(scanOf([16, 16, 8], 4), [0, 0, 0], [16, 16, 8]);
    const got = parseNpy('whole', readFileSync(at('one/whole.npy'))).data as Float32Array;
    expect(relativeError(got, feature_map!.data as Float32Array)).toBeLessThan(1e-5);
  });

  test('writes feature maps as NIfTI, one volume a feature', async () => {
    const input = [join(scans, 'large.nii.gz')];
    await run({ input, out: at('arrays'), per: 'map' });
    await run({ input, out: at('images'), per: 'map', format: 'nii' });
    expect(readdirSync(at('images'))).toEqual(['finished.jsonl', 'large.nii']);
    const image = readFileSync(at('images/large.nii'));
    expect([0, 1, 2, 3, 4].map((i) => image.readInt16LE(40 + 2 * i))).toEqual([4, 10, 6, 4, 32]);
    const { data } = parseNpy('large', readFileSync(at('arrays/large.npy')));
    expect(
      image
        .subarray(352)
        .equals(
          Buffer.from((data as Float32Array).buffer, (data as Float32Array).byteOffset, data.byteLength),
        ),
    ).toBe(true);
    // The first volume, read as a scan, lies where the map does.
    image.writeInt16LE(3, 40);
    image.writeInt16LE(1, 48);
    writeFileSync(at('first.nii'), image.subarray(0, 352 + 4 * 10 * 6 * 4));
    const first = await readVolume(at('first.nii'));
    const place: Grid = JSON.parse(readFileSync(at('arrays/large.json'), 'utf8'));
    expect(first.size).toEqual(place.size);
    for (const [i, mm] of place.origin.entries()) expect(first.origin[i]).toBeCloseTo(mm, 3);
  });

  test('replaces features only: no other array, rows or table', async () => {
    for (const ending of ['npy', 'jsonl', 'parquet']) {
      const out = at(`twice.${ending}`);
      await run({ out });
      const once = readFileSync(out);
      await run({ out, per: 'window' });
      await run({ out });
      expect(readFileSync(out)).toEqual(once);
    }
    copyFileSync(at('twice.npy'), at('lone.npy'));
    writeFileSync(
      at('noted.rows.jsonl'),
      '{"source":"a","offset":null,"centre":null,"windows":1,"note":"x"}\n',
    );
    writeFileSync(at('other.jsonl'), 'no JSON\n');
    writeFileSync(at('spaced.jsonl'), '\nmine\n');
    writeFileSync(at('empty.jsonl'), '');
    await run({ out: at('empty.jsonl') });
    writeFileSync(
      at('other.parquet'),
      new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'source', data: ['a'] }] })),
    );
    for (const [out, kept] of [
      ['lone.npy', 'lone.npy'],
      ['noted.npy', 'noted.rows.jsonl'],
      ['other.jsonl', 'other.jsonl'],
      ['spaced.jsonl', 'spaced.jsonl'],
      ['other.parquet', 'other.parquet'],
    ] as const) {
      const before = readFileSync(at(kept));
      await expect(run({ out: at(out) })).rejects.toThrow(`${kept}: this file is no result of this command`);
      expect(readFileSync(at(kept))).toEqual(before);
    }
  });

  test('needs no more than a model, tiles and a file on the command line', async () => {
    const out = at('typed.npy');
    const line = ['embed', '--model', model, '--input', at('tiles'), '--out', out];
    expect(await p2wHere(line)).toMatchObject({ code: 0 });
    expect(existsSync(out)).toBe(true);
  });

  test('refuses scans of one name in two inputs, whose rows nobody could tell apart', async () => {
    cpSync(at('tiles'), at('more-tiles'), { recursive: true });
    await expect(run({ input: [at('tiles'), at('more-tiles')], out: at('x.npy') })).rejects.toThrow(
      /two inputs have a scan of the same name[\s\S]*p2w merge --name-parts/,
    );
  });

  test('says why none of its inputs could be used, and leaves nothing behind', async () => {
    mkdirSync(at('bad'));
    for (let i = 0; i < 7; i++) writeFileSync(at('bad', `${i}.nii`), 'hello');
    const out = at('nothing.npy');
    const error = await run({ input: [at('bad')], out }).catch((reason) => reason);
    expect(error).toMatchObject({
      ...{ name: 'UserError', kind: 'input' },
      facts: { what: 'none of the inputs could be embedded', where: at('bad') },
    });
    expect(error.facts.got).toMatch(/^\S+0\.nii: [^\n]+; expected: [^\n]+4\.nii: [^\n]+ and 2 more$/);
    expect(readdirSync(folder).filter((name) => name.startsWith('nothing'))).toEqual([]);
  });

  test('keeps what an earlier run has finished, where nothing else can be used', async () => {
    const out = at('kept.npy');
    const update = (done: number) => {
      if (done === 1) throw new Error('killed');
    };
    const progress = { update, log: () => {}, stop: () => {} };
    await expect(run({ out, reporter: { log: () => {}, start: () => progress } })).rejects.toThrow('killed');
    const before = readFileSync(`${out}.unfinished`);
    writeFileSync(at('broken.nii'), 'hello');
    await expect(run({ input: [at('broken.nii')], out })).rejects.toThrow(/none of the inputs/);
    expect(readFileSync(`${out}.unfinished`)).toEqual(before);
    rmSync(`${out}.unfinished`);
  });

  test.each([0, -16])('refuses windows of %i voxels', async (length) => {
    const error = await run({ out: at('x.npy'), window: [length, 16, 8] }).catch((reason) => reason);
    expect(error).toMatchObject({ kind: 'usage', facts: { where: '--window', got: String(length) } });
  });

  test('refuses what has no meaning', async () => {
    await expect(run({ out: at('x.npy'), format: 'nii' })).rejects.toThrow(/only feature maps/);
    await expect(
      run({ input: [at('tiles')], out: at('x.npy'), window: [16, 16, 8], overlap: 7 }),
    ).rejects.toThrow(/--window and --overlap cannot be used with stores of tiles/);
    await expect(run({ input: [at('tiles')], out: at('m'), per: 'map' })).rejects.toThrow(/made of scans/);
    writeTarget(at('segmenter.onnx'), 'segmentation', ['a']);
    await expect(run({ model: at('segmenter.onnx'), out: at('x.npy') })).rejects.toThrow(/p2w segment/);
    writePretrained(at('autoencoder.onnx'), 'autoencoder');
    await expect(run({ model: at('autoencoder.onnx'), out: at('m'), per: 'map' })).rejects.toThrow(
      /feature_map/,
    );
    expect(await run({ model: at('autoencoder.onnx'), out: at('auto.npy') })).toMatchObject({ rows: 2 });
    writeFileSync(join(scans, 'features.npy'), readFileSync(at('auto.npy')));
    await expect(run({ out: join(scans, 'features.npy') })).rejects.toThrow(/overwrite its own input/);
    rmSync(join(scans, 'features.npy'));
  });
});
