/** Segmentations as masks, on grids of their own or of the series that they were drawn on. */
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findScans, readScanHeader, readVolume, scanFiles } from '../../../../src/data/scan/index.js';
import { userErrorOf } from '../samples.js';
import { at, GRID, hu, PIXELS, ROOT, series, seriesFolder, twoAcquisitions } from './series-sample.js';
import { bytesOf, ctSeries, dicomBytes, type Elements, type FileOptions, SIZE } from './writer.js';

const { file, write } = seriesFolder();

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
