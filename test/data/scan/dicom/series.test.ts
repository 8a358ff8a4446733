/** Which slices make a volume, and where it lies. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findScans, readScanHeader, readVolume, scanFiles } from '../../../../src/data/scan/index.js';
import type { Volume } from '../../../../src/data/scan/volume.js';
import { identifyScans } from '../../../../src/data/store/sources.js';
import { concat, temporaryFolder, userErrorOf } from '../samples.js';
import { rle } from './rle.js';
import {
  bytesOf,
  ctSeries,
  ctSlice,
  dicomBytes,
  type Elements,
  type FileOptions,
  fragments,
  PLANTED,
  SIZE,
  slicePixels,
  writeFiles,
} from './writer.js';

const file = temporaryFolder();
let folders = 0;
const write = (files: Record<string, Uint8Array>) => writeFiles(file(`s${folders++}`), files);
const read = (files: Record<string, Uint8Array>) => readVolume(write(files));
const PIXELS = SIZE[0] * SIZE[1];
const ROOT = PLANTED.at(-1)!;
const hu = (slices: readonly number[]) =>
  Int16Array.from(slices.flatMap((z) => [...slicePixels(z)].map((value) => value - 24)));
const at = (x: number, y: number, z: number): Elements => ({ '00200032': ['DS', `${x}\\${y}\\${z}`] });
const series = (number: number): Elements => ({ '0020000e': ['UI', `${ROOT}.3.${number}`] });
/** Two acquisitions 4 mm from slice to slice, the second of which is `offset` mm above the first. */
function twoAcquisitions(count: number, offset: number, more: Elements = {}): Record<string, Uint8Array> {
  const slices = [0, 1].flatMap((acquisition) =>
    Array.from({ length: count }, (_, z): [string, Uint8Array] => {
      const own: Elements = {
        ...at(-10, 20, 4 * z - 30 + acquisition * offset),
        '00080018': ['UI', `${ROOT}.${acquisition}.${z}`],
        '00200012': ['IS', `${acquisition + 1}`],
        '00281052': ['DS', `${-24 - acquisition}`],
      };
      return [`${z}${acquisition}`, dicomBytes(ctSlice(z, { ...own, ...more }))];
    }),
  );
  return Object.fromEntries(slices);
}
const GRID = {
  size: [4, 3, 5],
  spacing: [0.5, 0.75, 2],
  origin: [-10, 20, -30],
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};

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

describe('slices that are not on one grid', () => {
  it('of a tilted gantry are straightened, and that is said', async () => {
    const tan = Math.tan((20 * Math.PI) / 180);
    // Each slice is the same slope along y: upright, all slices would show it at the same place in the patient.
    const size = [4, 24] as const;
    const slice = (z: number): Elements => ({
      ...at(-10, 20 + 3 * tan * z, 3 * z),
      '00280010': ['US', size[1]],
      '00280030': ['DS', '1\\1'],
      '7fe00010': [
        'OW',
        bytesOf(
          Int16Array.from({ length: size[0] * size[1] }, (_, i) =>
            Math.round(100 * (Math.floor(i / 4) + 3 * tan * z)),
          ),
        ),
      ],
    });
    const volume = await read(ctSeries(4, slice));
    expect(volume.resampled).toContain('tilted by 20.0°');
    expect(volume).toMatchObject({
      size: [4, 24 + Math.ceil(9 * tan), 4],
      spacing: [1, 1, 3],
      origin: [-10, 20, 0],
    });
    const [width, height] = volume.size;
    const value = (y: number, z: number) => volume.voxels[1 + width * (y + height * z)]!;
    for (const z of [0, 1, 2, 3]) expect(Math.abs(value(10, z) - (1000 - 24))).toBeLessThanOrEqual(1);
    expect(value(0, 3)).toBe(-24);
    const header = await readScanHeader(file(`s${folders - 1}`));
    expect(header.grid.size).toEqual(volume.size);
    expect(header.fields.resampled).toBe(volume.resampled);
  });

  it('tilted the other way keep all that they show', async () => {
    const volume = await read(ctSeries(3, (z) => at(-10, 20 - 1.5 * z, 2 * z)));
    expect(volume.size).toEqual([4, 3 + 4, 3]);
    expect(volume.origin).toEqual([-10, 20 - 3, 0]);
    // By whole voxels: every value is still there.
    const values = new Set<number>(volume.voxels);
    for (const value of hu([0, 1, 2])) expect(values.has(value), String(value)).toBe(true);
  });

  it('tilted sideways by half a pixel a slice are interpolated along the rows', async () => {
    const volume = await read(ctSeries(3, (z) => at(-10 + 0.25 * z, 20, 2 * z)));
    expect(volume).toMatchObject({ size: [5, 3, 3], origin: [-10, 20, 0] });
    const row = (z: number) => [...volume.voxels.subarray(15 * z, 15 * z + 5)];
    const first = (z: number) => slicePixels(z)[0]! - 24;
    const air = -524;
    expect(row(0)).toEqual([0, 7, 14, 21, 0].map((step, x) => (x < 4 ? first(0) + step : air)));
    expect(row(1)).toEqual([0, 4, 11, 18, 21].map((step) => first(1) + step));
    expect(row(2)).toEqual([0, 0, 7, 14, 21].map((step, x) => (x > 0 ? first(2) + step : air)));
    const back = await read(ctSeries(3, (z) => at(-10 - 0.25 * z, 20, 2 * z)));
    expect(back).toMatchObject({ size: [5, 3, 3], origin: [-10.5, 20, 0] });
  });

  it('of a little uneven spacing are interpolated, and that is said', async () => {
    const heights = [0, 2, 4.8, 6, 8];
    const volume = await read(ctSeries(5, (z) => at(-10, 20, heights[z]!)));
    expect(volume.resampled).toMatch(/interpolated to 2\.000 mm.*1\.20 to 2\.80 mm apart/);
    expect(volume.spacing[2]).toBe(2);
    expect(volume.voxels[2 * PIXELS]).toBe(Math.round(-524 + 100 * (1 + 2 / 2.8)));
    expect(volume.voxels[3 * PIXELS]).toBe(-524 + 300);
  });

  it.each<[string, string, (z: number) => Elements]>([
    [
      'missing',
      'slices are missing from the series.*between -28.00 and -24.00 mm',
      (z) => at(-10, 20, -30 + 2 * (z > 1 ? z + 1 : z)),
    ],
    [
      'unevenly spaced',
      'unevenly spaced.*of 0.50 mm between.*give or take less than 50 %',
      (z) => at(-10, 20, z === 2 ? 2.5 : 2 * z),
    ],
    [
      'missing where most others are, too',
      'unevenly spaced.*of 2.00 mm between -30.00 and -28.00 mm.*every 4.00 mm',
      (z) => at(-10, 20, -30 + (z > 0 ? 4 * z - 2 : 0)),
    ],
    [
      'at one place',
      'several different slices.*1 of 6 slices.*-26.00 mm',
      (z) => at(-10, 20, -30 + 2 * Math.min(z, 4)),
    ],
    ['not in line', 'do not lie behind each other.*a slice at', (z) => at(z === 3 ? 40 : -10, 20, 2 * z)],
    ['leaning too far', 'do not lie behind each other', (z) => at(5 * z, 20, 2 * z)],
  ])('are refused when they are %s', async (_, message, more) => {
    const count = message.includes('6 slices') ? 6 : 5;
    const error = await userErrorOf(read(ctSeries(count, more)));
    expect(error.message.replaceAll('\n', ' ')).toMatch(new RegExp(message.replace('-26.00', '-22.00')));
  });

  it('of a spacing of micrometres are read', async () => {
    const { spacing, resampled } = await read(ctSeries(3, (z) => at(-10, 20, 0.0015 * z)));
    expect([spacing[2], resampled]).toEqual([0.0015, undefined]);
  });

  it('of which there are three are refused when one of the gaps is twice as wide', async () => {
    const error = await userErrorOf(read(ctSeries(3, (z) => at(-10, 20, z === 2 ? 6 : 2 * z))));
    expect(error.message).toMatch(
      /slices are missing from the series\n.*of 4\.00 mm between 2\.00 and 6\.00 mm/,
    );
  });
});

describe('several volumes in one series', () => {
  it('are told apart by acquisition, time or kernel', async () => {
    for (const tag of ['00200012', '00200100', '00181210', '00080032']) {
      const files: Record<string, Uint8Array> = {};
      for (const phase of [0, 1])
        for (const z of [0, 1, 2])
          files[`${z}${phase}`] = dicomBytes(
            ctSlice(z, {
              [tag]: ['IS', `${phase + 1}`],
              '00080018': ['UI', `${ROOT}.${phase}.${z}`],
              '00281052': ['DS', `${-phase}`],
            }),
          );
      const folder = write(files);
      const found = await findScans([folder]);
      expect(found.map((path) => path.slice(-2))).toEqual(['-1', '-2']);
      const volumes = await Promise.all(found.map(readVolume));
      expect(volumes.map(({ size, voxels }) => [size[2], voxels[0]])).toEqual([
        [3, -500],
        [3, -501],
      ]);
      expect((await userErrorOf(readVolume(folder))).message).toContain('several scans');
    }
  });

  it('are told apart where the slices of one acquisition lie between those of another', async () => {
    const found = await findScans([write(twoAcquisitions(4, 2))]);
    const volumes = await Promise.all(found.map(readVolume));
    expect(volumes.map(({ origin, spacing, voxels }) => [origin[2], spacing[2], voxels])).toEqual([
      [-30, 4, hu([0, 1, 2, 3])],
      [-28, 4, hu([0, 1, 2, 3]).map((value) => value - 1)],
    ]);
  });

  it('of an MR are told apart by their echo time, where their slices lie between each other', async () => {
    const files: Record<string, Uint8Array> = {};
    for (const echo of [0, 1])
      for (let z = 0; z < 4; z++)
        files[`${z}${echo}`] = dicomBytes(
          ctSlice(z, {
            ...at(-10, 20, 4 * z + 2 * echo),
            '00080018': ['UI', `${ROOT}.${echo}.${z}`],
            '00080060': ['CS', 'MR'],
            '00180081': ['DS', `${20 + 70 * echo}`],
          }),
        );
    const volumes = await Promise.all((await findScans([write(files)])).map(readVolume));
    expect(volumes.map(({ origin, size }) => [origin[2], size[2]])).toEqual([
      [0, 4],
      [2, 4],
    ]);
  });

  it('are told apart, or refused, where all images have the same identifier', async () => {
    const same: Elements = { '00080018': ['UI', `${ROOT}.1`] };
    const volumes = await Promise.all(
      (await findScans([write(twoAcquisitions(4, 0, same))])).map(readVolume),
    );
    expect(volumes.map(({ voxels }) => voxels)).toEqual([
      hu([0, 1, 2, 3]),
      hu([0, 1, 2, 3]).map((value) => value - 1),
    ]);
    // Nothing but their numbers tells these apart.
    const numbered = Object.fromEntries(
      [0, 1, 2, 3].map((i): [string, Uint8Array] => [
        `${i}`,
        dicomBytes(ctSlice(i >> 1, { ...same, '00200013': ['IS', `${i}`] })),
      ]),
    );
    expect((await userErrorOf(read(numbered))).message).toContain(
      'several different slices are at the same position',
    );
  });

  it.each<[string, number, number, Elements]>([
    ['two blocks follow one another', 4, 16, {}],
    ['packages of an MR lie between each other', 4, 2, { '00080060': ['CS', 'MR'] }],
    ['the parts are no more than pairs of slices', 2, 2, {}],
  ])('are not seen where %s', async (_, count, offset, more) => {
    const volume = await read(twoAcquisitions(count, offset, more));
    expect(volume.size[2]).toBe(2 * count);
    expect(volume.spacing[2]).toBe(Math.min(offset, 4));
  });

  it('are told apart however many they are, as the time points of a perfusion study', async () => {
    const files: Record<string, Uint8Array> = {};
    for (let phase = 0; phase < 6; phase++)
      for (const z of [0, 1]) {
        const own: Elements = { '00200100': ['IS', `${phase}`], '00080018': ['UI', `${ROOT}.${phase}.${z}`] };
        files[`${z}${phase}`] = dicomBytes(ctSlice(z, own));
      }
    expect(await findScans([write(files)])).toHaveLength(6);
  });

  it('in one image of many frames are told apart by what its frames say', async () => {
    for (const [sequence, tag] of [
      ['00209111', '00209156'],
      ['00209111', '00209128'],
      ['00189314', '00181210'],
    ] as const) {
      // Numbers that are white space when they are taken for text, and kernels.
      const frames = [9, 10].flatMap((value) =>
        [0, 1].map((z): Elements => {
          const own: Elements = { [tag]: tag === '00181210' ? ['SH', `B${value}f`] : ['US', value] };
          return { '00209113': ['SQ', [at(-10, 20, 2 * z)]], [sequence]: ['SQ', [own]] };
        }),
      );
      const words = concat(...[0, 1, 2, 3].map((z) => bytesOf(slicePixels(z))));
      const image = dicomBytes({
        ...ctSlice(0, { '00280008': ['IS', '4'], '52009230': ['SQ', frames] }),
        '7fe00010': ['OW', words],
      });
      const found = await findScans([write({ image })]);
      const volumes = await Promise.all(found.map(readVolume));
      expect(volumes.map(({ voxels }) => voxels)).toEqual([hu([0, 1]), hu([2, 3])]);
    }
  });

  it('are an image of many frames and slices beside it', async () => {
    const frames = [0, 1].map((z): Elements => ({ '00209113': ['SQ', [at(-10, 20, 2 * z)]] }));
    const words = concat(...[0, 1].map((z) => bytesOf(slicePixels(z))));
    const image = dicomBytes({
      ...ctSlice(0, { '00280008': ['IS', '2'], '52009230': ['SQ', frames] }),
      '7fe00010': ['OW', words],
    });
    const found = await findScans([write({ image, ...ctSeries(3, (z) => at(-10, 20, 4 + 2 * z)) })]);
    const depths = await Promise.all(found.map(async (path) => (await readVolume(path)).size[2]));
    expect(depths.sort()).toEqual([2, 3]);
  });

  it('are not seen where a slice is missing between two rotations', async () => {
    const rotation = (z: number): Elements => ({
      ...at(-10, 20, 2 * (z > 2 ? z + 1 : z)),
      '00200012': ['IS', z > 2 ? '2' : '1'],
    });
    const error = await userErrorOf(read(ctSeries(6, rotation)));
    expect(error.message).toContain('slices are missing');
    expect(error.facts.got).toContain('between 4.00 and 8.00 mm');
  });

  it('are told apart by orientation, size and spacing', async () => {
    const others: Elements[] = [
      { '00200037': ['DS', '0\\1\\0\\0\\0\\-1'] },
      { '00280030': ['DS', '1\\1'] },
      { '00280011': ['US', 2] },
    ];
    for (const other of others) {
      const files: Record<string, Uint8Array> = { ...ctSeries(3) };
      for (const z of [0, 1])
        files[`other${z}`] = dicomBytes(
          ctSlice(z, { ...at(2 * z, 0, 0), ...other, '00080018': ['UI', `${ROOT}.8.${z}`] }),
        );
      if (other === others[1])
        for (const z of [0, 1])
          files[`other${z}`] = dicomBytes(ctSlice(z, { ...other, '00080018': ['UI', `${ROOT}.8.${z}`] }));
      if (other === others[2])
        for (const z of [0, 1])
          files[`other${z}`] = dicomBytes(ctSlice(z, { ...other, '00080018': ['UI', `${ROOT}.8.${z}`] }));
      const found = await findScans([write(files)]);
      const depths = await Promise.all(found.map(async (path) => (await readVolume(path)).size[2]));
      expect(depths.sort()).toEqual([2, 3]);
    }
  });
});

describe('findScans', () => {
  const passed: string[] = [];
  const options = { passedOver: (line: string) => passed.push(line) };

  it('finds series by content in a mixed tree, and says in a line each what it passes over', async () => {
    const folder = write({
      'a/b/IM0001': dicomBytes(ctSlice(0)),
      'a/c/IM0001.dcm': dicomBytes(ctSlice(1)),
      'a/scout.dcm': dicomBytes(
        ctSlice(0, { ...series(1), '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] }),
      ),
      'a/scout2.dcm': dicomBytes(
        ctSlice(1, { ...series(1), '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] }),
      ),
      dose: dicomBytes({ ...series(2), '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.88.67'] }),
      'single.ima': dicomBytes(ctSlice(0, series(3))),
      'capture.jpg': dicomBytes(
        ctSlice(0, { ...series(4), '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.7'] }),
      ),
      struct: dicomBytes({ ...series(5), '00080060': ['CS', 'RTSTRUCT'] }),
      'other/1': dicomBytes(ctSlice(0, series(6))),
      'other/2': dicomBytes(ctSlice(1, series(6))),
      'other/.hidden': dicomBytes(ctSlice(2, series(6))),
      'x.nii': Buffer.from('not read here'),
      'readme.txt': Buffer.from('nothing'),
      empty: Buffer.alloc(0),
    });
    symlinkSync('..', `${folder}/a/up`);
    passed.length = 0;
    const found = await findScans([folder], options);
    expect(found.filter((path) => /#[0-9a-f]{12}$/.test(path))).toHaveLength(2);
    expect(found.filter((path) => !path.includes('#'))).toEqual([`${folder}/x.nii`]);
    const volumes: Volume[] = await Promise.all(found.filter((path) => path.includes('#')).map(readVolume));
    expect(volumes.map(({ size }) => size[2])).toEqual([2, 2]);
    expect(passed.map((line) => line.replace(/^.*#[0-9a-f]{12}: /, '')).sort()).toEqual([
      'passed over: a dose report',
      'passed over: a localiser (2 files)',
      'passed over: a secondary capture',
      'passed over: a single image',
      'passed over: an RTSTRUCT',
    ]);
    for (const planted of PLANTED) expect([...found, ...passed].join('\n')).not.toContain(planted);
  });

  it('takes files for the series that they are of', async () => {
    const folder = write({
      ...ctSeries(4),
      b1: dicomBytes(ctSlice(0, series(1))),
      b2: dicomBytes(ctSlice(1, series(1))),
    });
    const scout = { ...series(2), '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] } as Elements;
    writeFiles(folder, { scout: dicomBytes(ctSlice(0, scout)) });
    passed.length = 0;
    const names = ['IM71', 'IM00', 'b2', 'scout', 'IM42', 'b1'].map((name) => `${folder}/${name}`);
    const found = await findScans(names, options);
    expect(found.map((path) => basename(path).replace(/#.*/, ''))).toEqual(['IM71', 'IM71']);
    const depths = await Promise.all(found.map(async (path) => (await readVolume(path)).size[2]));
    expect(depths.sort()).toEqual([2, 4]);
    expect(passed).toEqual([`${folder}/scout: passed over: a localiser`]);
    expect(await findScans([found[0]!, folder])).toHaveLength(2);
    expect((await userErrorOf(findScans([`${folder}/scout`]))).facts.got).toBe('a localiser');
  });

  it('names a series the same wherever it lies', async () => {
    const name = async (folder: string) => (await findScans([folder]))[0]!.replace(/^.*#/, '');
    const [a, b] = [
      write(ctSeries(3)),
      write({ 'deep/x': dicomBytes(ctSlice(0)), y: dicomBytes(ctSlice(1)) }),
    ];
    expect(await name(a)).toBe(await name(`${b}/`));
  });

  it('counts copies of a series once; other images of the same series, or of none, in another folder are a scan', async () => {
    const whole = ctSeries(4);
    const [first, second] = [Object.entries(whole).slice(0, 2), Object.entries(whole).slice(2)].map((files) =>
      write(Object.fromEntries(files)),
    ) as [string, string];
    const copies = write(
      Object.fromEntries(Object.entries(whole).map(([name, bytes]) => [`x${name}`, bytes])),
    );
    expect(await findScans([write(whole), copies])).toHaveLength(1);
    const halves = await findScans([first, second, `${first}/IM00`]);
    expect(halves.map((path) => path.replace(/#.*/, ''))).toEqual([first, second]);
    const names = [...identifyScans(halves).keys()];
    expect(names.map((name) => name.slice(12))).toEqual(['_1', '_2']);
    expect(names.every((name) => /^[0-9a-f]{12}_/.test(name))).toBe(true);
    const unnamed = [1, 2].map((patient) =>
      write(ctSeries(3, (z) => ({ '0020000e': null, '00080018': ['UI', `${ROOT}.${patient}.${z}`] }))),
    );
    expect(await findScans(unnamed)).toHaveLength(2);
  });

  it('takes a folder or file for what it is, even if it is called as a series would be', async () => {
    const folder = writeFiles(file('CT#2024.01.15'), ctSeries(3));
    const [found] = await findScans([folder]);
    expect(found).toMatch(/CT#2024\.01\.15#[0-9a-f]{12}$/);
    writeFiles(folder, { 'IM#1.2': dicomBytes(ctSlice(3)) });
    for (const path of [folder, `${folder}/IM#1.2`, found!])
      expect((await readVolume(path)).voxels).toEqual(hu([0, 1, 2, 3]));
    expect((await findScans([`${folder}/IM#1.2`])).map((path) => path.replace(/#[^#]*$/, ''))).toEqual([
      `${folder}/IM#1.2`,
    ]);
  });

  it('sees what has changed since', async () => {
    const folder = write(ctSeries(3));
    const [path] = await findScans([folder]);
    writeFiles(folder, {
      IM42: dicomBytes(ctSlice(2, { '00281052': ['DS', '-25'] })), // of the same size
    });
    expect((await readVolume(path!)).voxels[2 * PIXELS]).toBe(-500 + 200 - 25);
    writeFiles(folder, {
      later: dicomBytes(ctSlice(3)),
      IM42: dicomBytes(ctSlice(2, { '00281052': ['DS', '0'] })),
    });
    expect((await readVolume(path!)).size[2]).toBe(4);
    writeFiles(folder, { last: dicomBytes(ctSlice(4)) });
    expect((await readVolume(folder)).size[2]).toBe(5);
    writeFiles(folder, { 'deep/er': dicomBytes(ctSlice(5)) });
    expect((await readVolume(folder)).size[2]).toBe(6);
  });

  it('says what it is given instead of a scan', async () => {
    const zip = file('scans.zip', Buffer.from('PK\x03\x04rest of it'));
    expect((await userErrorOf(findScans([zip]))).message).toMatch(/zip archive[\s\S]*unpack/);
    const zips = write({ 'a.zip': Buffer.from('PK') });
    expect((await userErrorOf(findScans([zips]))).facts.fix).toContain('unpack');
    const directory = dicomBytes({ '00041220': ['SQ', [{ '00041430': ['CS', 'IMAGE'] }]] });
    expect((await userErrorOf(findScans([file('DICOMDIR', directory)]))).facts).toMatchObject({
      got: 'a DICOMDIR, the directory of a medium',
      fix: 'give the folder that it is in',
    });
    const folder = write({ struct: dicomBytes({ '00080060': ['CS', 'RTSTRUCT'] }) });
    const struct = `${folder}/struct`;
    for (const use of [() => findScans([folder]), () => findScans([struct]), () => readVolume(struct)])
      expect((await userErrorOf(use())).message).toMatch(/an RTSTRUCT[\s\S]*plastimatch/);
    mkdirSync(file('nothing'));
    expect((await userErrorOf(readVolume(file('nothing')))).message).toContain('no DICOM scan');
    expect((await userErrorOf(readVolume(`${folder}#0123456789ab`))).message).toContain('no DICOM scan');
    expect((await userErrorOf(readVolume(file('gone#0123456789ab')))).message).toContain('no such file');
  });
});

describe('a segmentation', () => {
  const plane = (z: number, segment: number): Elements => ({
    '00209113': ['SQ', [at(-10, 20, 2 * z - 30)]],
    '0062000a': ['SQ', [{ '0062000b': ['US', segment] }]],
  });
  const seg = (
    planes: readonly (readonly [z: number, segment: number])[],
    bits: Uint8Array,
    more: Elements = {},
    options: FileOptions = {},
  ) =>
    dicomBytes(
      {
        '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.66.4'],
        '00080060': ['CS', 'SEG'],
        '00081115': ['SQ', [{ '0020000e': ['UI', `${ROOT}.3`] }]],
        '0020000e': ['UI', `${ROOT}.77`],
        '00280002': ['US', 1],
        '00280008': ['IS', String(planes.length)],
        '00280010': ['US', SIZE[1]],
        '00280011': ['US', SIZE[0]],
        '00280100': ['US', 1],
        '00280101': ['US', 1],
        '00280102': ['US', 0],
        '00280103': ['US', 0],
        '00620001': ['CS', 'BINARY'],
        '52009229': [
          'SQ',
          [
            {
              '00209116': ['SQ', [{ '00200037': ['DS', '1\\0\\0\\0\\1\\0'] }]],
              '00289110': ['SQ', [{ '00280030': ['DS', '0.75\\0.5'], '00180088': ['DS', '2'] }]],
            },
          ],
        ],
        '52009230': ['SQ', planes.map(([z, segment]) => plane(z, segment))],
        '7fe00010': ['OB', bits],
        ...more,
      },
      options,
    );
  /** Path of a segmentation in a folder of its own: beside it is no series that it could be on the grid of. */
  const alone = (bytes: Uint8Array) => `${write({ bytes })}/bytes`;
  /** Three planes of 12 bits: segment 2 at slice 4, segment 1 at slices 1 and 4. */
  const PLANES = [
    [4, 2],
    [1, 1],
    [4, 1],
  ] as const;
  const BITS = Uint8Array.from([0b00000001, 0b00110000, 0b00000000, 0b10000000, 0b00001000]);

  it('is a mask with the number of the segment, on planes of its own', async () => {
    const volume = await readVolume(file('seg.dcm', seg(PLANES, BITS)));
    expect(volume).toMatchObject({ ...GRID, size: [4, 3, 4], origin: [-10, 20, -28] });
    const found = [...volume.voxels].flatMap((label, i) => (label > 0 ? [[i, label]] : []));
    expect(found).toEqual([
      [0, 1],
      [1, 1],
      [36, 2],
      [36 + 7, 1],
      [36 + 11, 1],
    ]);
  });

  it('does not take the thickness of slices for how far they are apart', async () => {
    const shared = (measures: Elements): Elements => ({
      '52009229': [
        'SQ',
        [
          {
            '00209116': ['SQ', [{ '00200037': ['DS', '1\\0\\0\\0\\1\\0'] }]],
            '00289110': ['SQ', [{ '00280030': ['DS', '0.75\\0.5'], ...measures }]],
          },
        ],
      ],
    });
    const thin = seg(PLANES, BITS, shared({ '00180050': ['DS', '1.5'] }));
    expect(await readVolume(alone(thin))).toMatchObject({ size: [4, 3, 2], spacing: [0.5, 0.75, 6] });
    const stated = seg(PLANES, BITS, shared({ '00180050': ['DS', '1.5'], '00180088': ['DS', '3'] }));
    expect(await readVolume(alone(stated))).toMatchObject({ size: [4, 3, 3], spacing: [0.5, 0.75, 3] });
  });

  it('is read when big endian, but not deflated, nor in words whose bytes are swapped', async () => {
    const path = alone(seg(PLANES, BITS, {}, { syntax: '1.2.840.10008.1.2.2' }));
    expect((await readVolume(path)).voxels[36]).toBe(2);
    for (const [syntax, vr] of [
      ['1.2.840.10008.1.2.2', 'OW'],
      ['1.2.840.10008.1.2.1.99', 'OB'],
    ] as const) {
      const bytes = seg(PLANES, BITS, { '7fe00010': [vr, BITS] }, { syntax });
      expect((await userErrorOf(readVolume(alone(bytes)))).message).toContain('not supported');
    }
  });

  it('is on the grid of the series that it was drawn on, where that is beside it', async () => {
    const folder = write({ ...ctSeries(6), seg: seg(PLANES, BITS) });
    const volume = await readVolume(`${folder}/seg`);
    expect(volume).toMatchObject({ ...GRID, size: [4, 3, 6] });
    expect([volume.voxels[PIXELS], volume.voxels[4 * PIXELS]]).toEqual([1, 2]);
    expect((await readVolume(folder)).voxels).toEqual(hu([0, 1, 2, 3, 4, 5]));
    const [image, mask] = [await findScans([folder]), await findScans([folder], { segmentations: true })];
    expect(mask).toEqual([`${image[0]}-seg`]);
    expect((await readVolume(mask[0]!)).voxels).toEqual(volume.voxels);
  });

  it('is on the grid of whichever volume of its series has its planes', async () => {
    // Every other one of 2 mm is a plane of the second acquisition.
    const planes = [
      [5, 2],
      [1, 1],
      [5, 1],
    ] as const;
    const folder = write({ ...twoAcquisitions(3, 2), seg: seg(planes, BITS) });
    expect(await readVolume(`${folder}/seg`)).toMatchObject({
      ...GRID,
      size: [4, 3, 3],
      spacing: [0.5, 0.75, 4],
      origin: [-10, 20, -28],
    });
  });

  it('is on a grid of its own where its planes lie between those of the series', async () => {
    const between = PLANES.map(([z, segment]) => [z + 0.5, segment] as const);
    const folder = write({ ...ctSeries(6), seg: seg(between, BITS) });
    expect((await readVolume(`${folder}/seg`)).origin).toEqual([-10, 20, -27]);
  });

  it('is told apart from others of the same series, each in a series of its own; copies count once', async () => {
    const of = (number: number) =>
      seg(PLANES, BITS, { ...series(number), '00080018': ['UI', `${ROOT}.${number}`] });
    const folder = write({ ...ctSeries(6), b: of(78), a: of(79), copy: of(79) });
    const masks = await findScans([folder], { segmentations: true });
    expect(masks.map((path) => path.replace(/^.*#[0-9a-f]{12}/, ''))).toEqual(['-seg-1', '-seg-2']);
    const files = await Promise.all(
      masks.map(async (path) => (await scanFiles(path)).map((name) => basename(name))),
    );
    expect(files.map((names) => names.sort())).toEqual([['b'], ['a', 'copy']]);
    expect((await readVolume(`${folder}/copy`)).size).toEqual([4, 3, 6]);
    const apart = [write({ x: of(78) }), write({ x: of(79) })];
    expect(await findScans(apart, { segmentations: true })).toHaveLength(2);
  });

  /** Two slices of 12 pixels. */
  const whole = (words: Uint8Array, type: string, more: Elements = {}) =>
    seg(
      [
        [1, 255],
        [2, 255],
      ],
      words,
      {
        '00280100': ['US', 8],
        '00280101': ['US', 8],
        '00280102': ['US', 7],
        '00620001': ['CS', type],
        ...more,
      },
    );

  it('has the spacing of its closest planes where it does not say any', async () => {
    const shared: Elements = {
      '00209116': ['SQ', [{ '00200037': ['DS', '1\\0\\0\\0\\1\\0'] }]],
      '00289110': ['SQ', [{ '00280030': ['DS', '0.75\\0.5'] }]],
    };
    const volume = await readVolume(alone(seg(PLANES, BITS, { '52009229': ['SQ', [shared]] })));
    expect(volume).toMatchObject({ size: [4, 3, 2], spacing: [0.5, 0.75, 6] });
    const planes = [
      [1, 1],
      [4, 1],
      [2, 1],
    ] as const;
    const { size } = await readVolume(alone(seg(planes, BITS, { '52009229': ['SQ', [shared]] })));
    expect(size).toEqual([4, 3, 4]);
  });

  it('may be fractional, if each voxel is in a segment or not', async () => {
    const words = Uint8Array.from({ length: 24 }, (_, i) => (i % 5 === 0 ? 200 : 0));
    const most: Elements = { '0062000e': ['US', 200] };
    const { voxels } = await readVolume(alone(whole(words, 'FRACTIONAL', most)));
    expect([...voxels]).toEqual([...words].map((value) => (value > 0 ? 255 : 0)));
    words[7] = 120;
    const error = await userErrorOf(readVolume(alone(whole(words, 'FRACTIONAL', most))));
    expect(error.message).toMatch(/holds probabilities[\s\S]*120 of 200[\s\S]*>= 0\.5/);
  });

  it('may be a label map, of 8 or 16 bits', async () => {
    const labels = Uint8Array.from({ length: 24 }, (_, i) => i % 4);
    const map: Elements = {
      '52009230': ['SQ', [1, 2].map((z) => ({ ...plane(z, 0), '0062000a': null }))],
      // The background may be listed among the segments.
      '00620002': ['SQ', [0, 1, 2, 3].map((number): Elements => ({ '00620004': ['US', number] }))],
    };
    const path = alone(whole(labels, 'LABELMAP', map));
    expect([...(await readVolume(path)).voxels]).toEqual([...labels]);
    expect((await readScanHeader(path)).fields).toMatchObject({ type: 'LABELMAP', segments: '1, 2, 3' });
    const wide: Elements = {
      ...map,
      '00280100': ['US', 16],
      '00280101': ['US', 16],
      '00280102': ['US', 15],
    };
    const words = Uint16Array.from(labels);
    const wideMap = () => readVolume(alone(whole(bytesOf(words), 'LABELMAP', wide)));
    expect([...(await wideMap()).voxels]).toEqual([...labels]);
    words[3] = 256;
    expect((await userErrorOf(wideMap())).message).toMatch(/not supported[\s\S]*segment 256/);
  });

  it.each<[string, Uint8Array]>([
    [
      'segments overlap',
      seg(
        [
          [1, 1],
          [1, 2],
        ],
        Uint8Array.from([0xff, 0x1f, 0]),
      ),
    ],
    ['not supported', seg(PLANES, BITS, { '00620001': ['CS', 'FRACTIONAL'] })],
    ['not supported', seg(PLANES, BITS, { '00280100': ['US', 8] })],
    ['too short', seg(PLANES, BITS.subarray(0, 4))],
    ['too short', seg(PLANES, BITS.subarray(0, 4), { '7fe10010': ['OB', new Uint8Array(8)] })],
    ['broken', seg(PLANES, BITS, { '7fe00010': null })],
    ['no frames', seg([], BITS)],
    ['positions of 3 frames', seg(PLANES, BITS, { '00280008': ['IS', '1'] })],
    ['segment 0', seg([[1, 0]], BITS)],
    ['too short', whole(new Uint8Array(20), 'LABELMAP')],
    ['impossible bits', whole(new Uint8Array(24), 'FRACTIONAL', { '00280101': ['US', 9] })],
    [
      'do not lie behind each other',
      seg(PLANES, BITS, {
        '52009230': [
          'SQ',
          [plane(4, 1), plane(1, 1), { ...plane(2, 1), '00209113': ['SQ', [at(-9, 20, -26)]] }],
        ],
      }),
    ],
    [
      'do not lie behind each other',
      seg(PLANES, BITS, {
        '52009230': [
          'SQ',
          [
            plane(4, 1),
            plane(1, 1),
            { ...plane(2, 1), '00209116': ['SQ', [{ '00200037': ['DS', '0\\1\\0\\1\\0\\0'] }]] },
          ],
        ],
      }),
    ],
    [
      'unevenly spaced',
      seg(
        [
          [0, 1],
          [1, 1],
          [2.4, 1],
        ],
        BITS,
      ),
    ],
  ])('is refused: %s', async (message, bytes) => {
    const path = write({ seg: bytes });
    expect((await userErrorOf(readVolume(path))).message).toContain(message);
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
