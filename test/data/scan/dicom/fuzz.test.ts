/** Damaged DICOM files. */
import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readVolume } from '../../../../src/data/scan/index.js';
import { UserError } from '../../../../src/errors.js';
import { type RandomStream, randomStream } from '../../../../src/random.js';
import { temporaryFolder } from '../samples.js';
import { CODECS, encodeWith, isInstalled } from './encoder.js';
import { Bits, jpeg, lossless } from './jpeg-writer.js';
import { rle } from './rle.js';
import { bytesOf, ctSlice, dicomBytes, type Elements, fragments, slicePixels, writeFiles } from './writer.js';

const file = temporaryFolder();
const MUTANTS = 300;
/** A package that has failed is loaded again, which takes longer than all else. */
const MUTANTS_FOR_PACKAGES = 75;

const nested = (depth: number): Elements =>
  depth === 0 ? { '00080100': ['SH', 'end'] } : { '00081140': ['SQ', [nested(depth - 1)]] };
const slice = ctSlice(0, { ...nested(5), '00091010': ['UN', new Uint8Array(9)] });
const frames = [0, 1, 2].map(
  (z): Elements => ({ '00209113': ['SQ', [{ '00200032': ['DS', `0\\0\\${z}`] }]] }),
);
const enhanced: Elements = {
  ...slice,
  '00280008': ['IS', '3'],
  '52009230': ['SQ', frames],
  '7fe00010': ['OW', Buffer.concat([0, 1, 2].map((z) => bytesOf(slicePixels(z))))],
};
const compressed = fragments([0, 1, 2].map((z) => rle(slicePixels(z))));
const segmentation: Elements = {
  ...enhanced,
  '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.66.4'],
  '00280100': ['US', 1],
  '00280101': ['US', 1],
  '00280102': ['US', 0],
  '52009229': ['SQ', [{ '0062000a': ['SQ', [{ '0062000b': ['US', 1] }]] }]],
  '7fe00010': ['OB', Uint8Array.from([1, 2, 3, 4, 5])],
};
/** A label map of 16 bits: the label of each pixel is in its lower byte. */
const labelMap: Elements = {
  ...enhanced,
  '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.66.4'],
  '00620001': ['CS', 'LABELMAP'],
  '00280103': ['US', 0],
};
const labels = Int16Array.from({ length: 12 }, (_, i) => i % 3);
const compressedMap = fragments([0, 1, 2].map(() => rle(labels)));

const losslessFrames = fragments(
  [0, 1, 2].map((z) => lossless(Uint16Array.from(slicePixels(z)), 4, 4, 16, 0, 1)),
);
const cosines = new Bits();
cosines.difference(0, 50);
cosines.difference(2, -7);
cosines.put(0, 8);
const baseline = jpeg(
  {
    frame: 0xc1,
    precision: 12,
    columns: 4,
    rows: 3,
    scan: [0, 63, 0],
    quantisation: new Array<number>(64).fill(2),
  },
  cosines,
);

const SEEDS: Record<string, Uint8Array> = {
  explicit: dicomBytes(slice),
  implicit: dicomBytes(slice, { syntax: '1.2.840.10008.1.2', delimited: true }),
  big: dicomBytes(slice, { syntax: '1.2.840.10008.1.2.2' }),
  deflated: dicomBytes(slice, { syntax: '1.2.840.10008.1.2.1.99' }),
  bare: dicomBytes(slice, { bare: true }),
  frames: dicomBytes(enhanced, { delimited: true }),
  rle: dicomBytes(enhanced, { syntax: '1.2.840.10008.1.2.5', compressed }),
  'lossless JPEG': dicomBytes(enhanced, { syntax: '1.2.840.10008.1.2.4.57', compressed: losslessFrames }),
  'extended JPEG': dicomBytes(slice, { syntax: '1.2.840.10008.1.2.4.51', compressed: fragments([baseline]) }),
  segmentation: dicomBytes(segmentation),
  'label map': dicomBytes(labelMap, { syntax: '1.2.840.10008.1.2.5', compressed: compressedMap }),
};
/** Their encoders take no images as small as the others. */
const SIDE = 32;
const square = Int16Array.from({ length: SIDE * SIDE }, (_, i) => (i * 37) % 3000);
for (const codec of CODECS.filter(isInstalled)) {
  const elements: Elements = { ...slice, '00280010': ['US', SIDE], '00280011': ['US', SIDE] };
  const compressed = fragments([await encodeWith(codec, square, SIDE)]);
  SEEDS[codec.name] = dicomBytes(elements, { syntax: `1.2.840.10008.1.2.4.${codec.syntax}`, compressed });
}
const VALUES = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/** Breaks a file in one to three ways: bits, runs of bytes, places of elements, length. */
function mutate(seed: Uint8Array, random: RandomStream): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(seed);
  for (let n = 1 + random.integer(3); n > 0 && bytes.length > 0; n--) {
    const at = random.integer(bytes.length);
    const kind = random.integer(5);
    if (kind === 0) bytes[at] = bytes[at]! ^ (1 << random.integer(8));
    else if (kind === 1) bytes.subarray(at, at + 1 + random.integer(8)).fill(VALUES[random.integer(6)]!);
    else if (kind === 2) bytes = bytes.subarray(0, at);
    else if (kind === 3) bytes.copyWithin(at, random.integer(bytes.length), random.integer(bytes.length));
    else
      bytes = Buffer.concat([bytes.subarray(0, at), new Uint8Array(random.integer(16)), bytes.subarray(at)]);
  }
  return bytes;
}

describe('every damaged file is a volume or a message for users, quickly and without taking memory', () => {
  it.each(Object.keys(SEEDS))('%s', async (name) => {
    const mutants = CODECS.some((codec) => codec.name === name) ? MUTANTS_FOR_PACKAGES : MUTANTS;
    const outcomes = { volume: 0, error: 0 };
    const memory = process.memoryUsage.rss();
    for (let i = -1; i < mutants; i++) {
      const bytes = i < 0 ? SEEDS[name]! : mutate(SEEDS[name]!, randomStream(21, 'dicom', name, i));
      const path = `${writeFiles(file(name), { mutant: bytes })}/mutant`;
      const start = process.cpuUsage();
      const result = await readVolume(path).catch((error: unknown) => error);
      const { user, system } = process.cpuUsage(start);
      expect((user + system) / 1000, `mutant ${i}`).toBeLessThan(1000);
      if (result instanceof UserError) outcomes.error++;
      else {
        expect(result, `mutant ${i}`).toHaveProperty('voxels');
        const { voxels, size } = result as { voxels: Int16Array; size: number[] };
        expect(voxels.length, `mutant ${i}`).toBe(size[0]! * size[1]! * size[2]!);
        outcomes.volume++;
      }
      if (i < 0) expect(outcomes.volume, String(result)).toBe(1);
      rmSync(path);
    }
    expect(process.memoryUsage.rss() - memory).toBeLessThan(256 * 2 ** 20);
    expect(Math.min(outcomes.volume, outcomes.error)).toBeGreaterThan(mutants / 50);
  });

  it('sequences that are nested two hundred times', async () => {
    for (const delimited of [false, true]) {
      const bytes = dicomBytes({ ...slice, ...nested(200) }, { delimited });
      const result = await readVolume(file(`deep${delimited}`, bytes)).catch((error: unknown) => error);
      if (delimited) expect(String(result)).toContain('nested too deeply');
      else expect(result).toHaveProperty('voxels');
    }
  });
});
