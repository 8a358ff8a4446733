/** What tells the volumes of one series apart. */
import { describe, expect, it } from 'vitest';
import { findScans, readVolume } from '../../../../src/data/scan/index.js';
import { concat, userErrorOf } from '../samples.js';
import { at, hu, ROOT, seriesFolder, twoAcquisitions } from './series-sample.js';
import { bytesOf, ctSeries, ctSlice, dicomBytes, type Elements, slicePixels } from './writer.js';

const { write, read } = seriesFolder();

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
    const others: ((z: number) => Elements)[] = [
      (z) => ({ ...at(2 * z, 0, 0), '00200037': ['DS', '0\\1\\0\\0\\0\\-1'] }),
      () => ({ '00280030': ['DS', '1\\1'] }),
      () => ({ '00280011': ['US', 2] }),
    ];
    for (const other of others) {
      const files: Record<string, Uint8Array> = { ...ctSeries(3) };
      for (const z of [0, 1])
        files[`other${z}`] = dicomBytes(ctSlice(z, { ...other(z), '00080018': ['UI', `${ROOT}.8.${z}`] }));
      const found = await findScans([write(files)]);
      const depths = await Promise.all(found.map(async (path) => (await readVolume(path)).size[2]));
      expect(depths.sort()).toEqual([2, 3]);
    }
  });
});
