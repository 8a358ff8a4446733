/** Which slices and frames make a volume, and where it lies. */
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findScans, readScanHeader, readVolume, scanFiles } from '../../../../src/data/scan/index.js';
import { concat, userErrorOf } from '../samples.js';
import { rle } from './rle.js';
import { at, GRID, hu, ROOT, series, seriesFolder } from './series-sample.js';
import { bytesOf, ctSeries, ctSlice, dicomBytes, type Elements, fragments, slicePixels } from './writer.js';

const { file, write, read } = seriesFolder();

describe('a series', () => {
  it('is sorted by position, whatever its files and images are called and numbered', async () => {
    const folder = write(ctSeries(5));
    expect(await readVolume(folder)).toMatchObject({ ...GRID, voxels: hu([0, 1, 2, 3, 4]) });
    expect((await scanFiles(folder)).map((path) => basename(path))).toEqual([
      'IM00',
      'IM71',
      'IM42',
      'IM13',
      'IM84',
    ]);
    const { format, elementType, grid, fields } = await readScanHeader(folder);
    expect({ format, elementType, grid }).toMatchObject({
      format: 'DICOM',
      elementType: 'int16',
      grid: GRID,
    });
    expect(fields).toMatchObject({ modality: 'CT', slices: '5', rescaleIntercept: '-24' });
  });

  it('is read by any of its files, as far as they are in one folder', async () => {
    const folder = write({ ...ctSeries(3), 'deep/er/IM9': dicomBytes(ctSlice(3)) });
    expect((await readVolume(`${folder}/IM42`)).voxels).toEqual(hu([0, 1, 2]));
    expect((await readVolume(folder)).voxels).toEqual(hu([0, 1, 2, 3]));
  });

  it('of one slice is as thick as that', async () => {
    expect(await readVolume(file('single', dicomBytes(ctSlice(0, series(44)))))).toMatchObject({
      size: [4, 3, 1],
      spacing: [0.5, 0.75, 2],
    });
  });

  it('keeps the frame of coronal, sagittal, oblique and upside-down slices', async () => {
    const [s, c] = [Math.sin(0.3), Math.cos(0.3)];
    for (const [row, column] of [
      [
        [1, 0, 0],
        [0, 0, -1],
      ],
      [
        [0, 1, 0],
        [0, 0, -1],
      ],
      [
        [c, s, 0],
        [-s, c, 0],
      ],
      [
        [1, 0, 0],
        [0, c, s],
      ],
      [
        [-1, 0, 0],
        [0, 1, 0],
      ],
    ] as const) {
      const normal = [0, 1, 2].map(
        (i) => row[(i + 1) % 3]! * column[(i + 2) % 3]! - row[(i + 2) % 3]! * column[(i + 1) % 3]!,
      );
      const turned = (z: number): Elements => ({
        ...at(...(normal.map((value, i) => 2 * z * value + i) as [number, number, number])),
        '00200037': ['DS', [...row, ...column].map((value) => value.toFixed(12)).join('\\')],
      });
      const volume = await read(ctSeries(3, turned));
      expect(volume.voxels).toEqual(hu([0, 1, 2]));
      expect(volume.spacing[2]).toBeCloseTo(2, 9);
      for (const world of [0, 1, 2]) {
        const columns = [row, column, normal].map((axis) => axis[world]!);
        for (const [i, value] of columns.entries())
          expect(volume.direction[3 * world + i]).toBeCloseTo(value, 9);
      }
    }
  });

  it('counts copies of an image once, and takes rounded positions for even ones', async () => {
    const files = ctSeries(4, (z) => at(-10, 20, -30 + Number((1.25 * z).toFixed(1))));
    const folder = write({ ...files, 'copy/of': files.IM71! });
    const volume = await readVolume(folder);
    expect(volume.voxels).toEqual(hu([0, 1, 2, 3]));
    expect(volume.spacing[2]).toBeCloseTo(3.8 / 3, 9);
    expect(volume.resampled).toBeUndefined();
  });

  it('is whole even if all its images have the same identifier', async () => {
    const volume = await read(ctSeries(4, () => ({ '00080018': ['UI', `${ROOT}.1`] })));
    expect(volume.voxels).toEqual(hu([0, 1, 2, 3]));
  });

  it('that is an image of many frames is sorted alike', async () => {
    const order = [3, 0, 2, 1];
    const words = concat(...order.map((z) => bytesOf(slicePixels(z))));
    const frames = order.map(
      (z): Elements => ({
        '00209113': ['SQ', [at(-10, 20, 2 * z - 30)]],
        '00289145': ['SQ', [{ '00281052': ['DS', String(-z)], '00281053': ['DS', '1'] }]],
      }),
    );
    const shared: Elements = {
      '00209116': ['SQ', [{ '00200037': ['DS', '1\\0\\0\\0\\1\\0'] }]],
      '00289110': ['SQ', [{ '00280030': ['DS', '0.75\\0.5'], '00180050': ['DS', '2'] }]],
    };
    const enhanced: Elements = {
      ...ctSlice(0, {
        '00200032': null,
        '00200037': null,
        '00280030': null,
        '00281052': null,
        '00281053': null,
      }),
      '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.2.1'],
      '00280008': ['IS', '4'],
      '52009229': ['SQ', [shared]],
      '52009230': ['SQ', frames],
      '7fe00010': ['OW', words],
    };
    const expected = Int16Array.from(
      [0, 1, 2, 3].flatMap((z) => [...slicePixels(z)].map((value) => value - z)),
    );
    for (const delimited of [false, true]) {
      const volume = await readVolume(file(`enhanced${delimited}`, dicomBytes(enhanced, { delimited })));
      expect(volume).toMatchObject({ ...GRID, size: [4, 3, 4], voxels: expected });
    }
    const few = { ...enhanced, '52009230': ['SQ', frames.slice(1)] } as Elements;
    const error = await userErrorOf(readVolume(write({ few: dicomBytes(few) })));
    expect(error.message).toContain('describes 3 of its 4 frames');
    const frame = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    const countless = { ...enhanced, '52009230': ['UN', Buffer.alloc(8 * 70_000, frame)] } as Elements;
    const refused = await userErrorOf(readVolume(write({ countless: dicomBytes(countless) })));
    expect(refused.message).toContain('an image of 70000 frames, where at most 65536 are supported');
    const without = { ...enhanced, '52009230': null } as Elements;
    expect((await userErrorOf(readVolume(write({ x: dicomBytes(without) })))).message).toContain(
      'have no position',
    );
  });
});

describe('copies of an image of many frames', () => {
  it('count once, in whatever way they are given', async () => {
    const frames = [0, 1, 2].map((z): Elements => ({ '00209113': ['SQ', [at(-10, 20, 2 * z - 30)]] }));
    const words = concat(...[0, 1, 2].map((z) => bytesOf(slicePixels(z))));
    const image = dicomBytes({
      ...ctSlice(0, { '00280008': ['IS', '3'], '52009230': ['SQ', frames] }),
      '7fe00010': ['OW', words],
    });
    const folder = write({ IM1: image, 'IM1.dcm': image });
    const files = [`${folder}/IM1`, `${folder}/IM1.dcm`];
    for (const given of [[folder], files]) expect(await findScans(given)).toHaveLength(1);
    expect((await readVolume(folder)).voxels).toEqual(hu([0, 1, 2]));
    for (const path of files) expect(await scanFiles(path)).toEqual([path]);
  });
});

describe('compressed frames', () => {
  it('of one file are told apart by the offset table', async () => {
    const frames = [0, 1, 2].map((z): Elements => ({ '00209113': ['SQ', [at(-10, 20, 2 * z - 30)]] }));
    const pieces = [0, 1, 2].flatMap((z) => {
      const encoded = rle(slicePixels(z));
      return [encoded.subarray(0, 50), encoded.subarray(50)];
    });
    const starts = [0];
    for (const { length } of pieces) starts.push(starts.at(-1)! + 8 + length + (length % 2));
    const enhanced: Elements = { ...ctSlice(0), '00280008': ['IS', '3'], '52009230': ['SQ', frames] };
    const options = (offsets: number[]) => ({
      syntax: '1.2.840.10008.1.2.5',
      compressed: fragments(pieces, offsets),
    });
    const path = file('frames', dicomBytes(enhanced, options([starts[0]!, starts[2]!, starts[4]!])));
    expect((await readVolume(path)).voxels).toEqual(hu([0, 1, 2]));
    const without = file('without', dicomBytes(enhanced, options([])));
    expect((await userErrorOf(readVolume(without))).message).toContain('cannot be told apart');
  });
});
