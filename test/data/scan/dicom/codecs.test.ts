/** Compressions that packages decode; their own encoders make the images. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readVolume } from '../../../../src/data/scan/index.js';
import type { Volume } from '../../../../src/data/scan/volume.js';
import { UserError } from '../../../../src/errors.js';
import { temporaryFolder, userErrorOf } from '../samples.js';
import { CODECS, encodeWith, isInstalled } from './encoder.js';
import { ctSlice, dicomBytes, type Elements, fragments, writeFiles } from './writer.js';

const file = temporaryFolder();
const [COLUMNS, ROWS] = [64, 48];
const encoded = (codec: (typeof CODECS)[number], pixels: Int16Array | Uint16Array) =>
  encodeWith(codec, pixels, COLUMNS);

const shape: Elements = { '00280010': ['US', ROWS], '00280011': ['US', COLUMNS] };
const EIGHT_BITS: Elements = {
  '00280100': ['US', 8],
  '00280101': ['US', 8],
  '00280102': ['US', 7],
  '00280103': ['US', 1],
};
const signed = (z: number) =>
  Int16Array.from({ length: COLUMNS * ROWS }, (_, i) => ((i * 37) % 3000) - 1000 - z);
const unsigned = (z: number) =>
  Uint16Array.from({ length: COLUMNS * ROWS }, (_, i) => ((i * 37) % 30_000) + z);

describe.each(CODECS.filter((codec) => !isInstalled(codec)))('$name', ({ module }) => {
  it.skip(`cannot be tested: ${module} is not installed`, () => {});
});

describe.each(CODECS.filter(isInstalled))('$name', (codec) => {
  const syntax = `1.2.840.10008.1.2.4.${codec.syntax}`;

  it.each([
    ['signed', signed],
    ['unsigned', unsigned],
  ] as const)('%s images come back as they were', async (name, pixels) => {
    const files: Record<string, Uint8Array> = {};
    for (const z of [0, 1, 2]) {
      const image = await encoded(codec, pixels(z));
      const more: Elements = {
        ...shape,
        '00280103': ['US', name === 'signed' ? 1 : 0],
        '00281052': ['DS', '0'],
      };
      const pieces = z === 1 ? [image.subarray(0, 64), image.subarray(64)] : [image];
      files[z] = dicomBytes(ctSlice(z, more), { syntax, compressed: fragments(pieces) });
    }
    const { voxels } = await readVolume(writeFiles(file(`${codec.syntax}${name}`), files));
    expect([...voxels]).toEqual([0, 1, 2].flatMap((z) => [...pixels(z)]));
  });

  it('long series, which may be decoded in threads, come back in order; a broken slice is named', async () => {
    const slices = Array.from({ length: 40 }, (_, z) => signed(z));
    const files: Record<string, Uint8Array> = {};
    for (const [z, pixels] of slices.entries()) {
      const more: Elements = { ...shape, '00281052': ['DS', '0'] };
      files[z] = dicomBytes(ctSlice(z, more), {
        syntax,
        compressed: fragments([await encoded(codec, pixels)]),
      });
    }
    const { voxels } = await readVolume(writeFiles(file(`long${codec.syntax}`), files));
    expect([...voxels]).toEqual(slices.flatMap((pixels) => [...pixels]));

    const broken = fragments([new Uint8Array(100)]);
    files[23] = dicomBytes(ctSlice(23, shape), { syntax, compressed: broken });
    const path = writeFiles(file(`broken${codec.syntax}`), files);
    expect((await userErrorOf(readVolume(path))).facts.where).toBe(join(path, '23'));
  });

  it('signed pixels of 8 bits are refused, or what they were', async () => {
    const pixels = Int8Array.from(signed(0));
    const more: Elements = { ...shape, ...EIGHT_BITS, '00281052': ['DS', '0'] };
    const compressed = fragments([await encodeWith(codec, pixels, COLUMNS)]);
    const slices = [0, 1].map((z) => dicomBytes(ctSlice(z, more), { syntax, compressed }));
    const path = writeFiles(file(`eight${codec.syntax}`), { a: slices[0]!, b: slices[1]! });
    const found = await readVolume(path).catch((error: unknown) => error);
    if (found instanceof UserError) expect(found.message).toContain('signed pixels of 8 bits');
    else expect([...(found as Volume).voxels]).toEqual([...pixels, ...pixels]);
  });

  it('images that are cut off are refused at once, and the next one is read', async () => {
    const image = await encoded(codec, signed(0));
    const start = process.cpuUsage();
    for (const length of [100, 200, image.length - 40]) {
      const compressed = fragments([image.subarray(0, length)]);
      const path = file(`cut${codec.syntax}${length}`, dicomBytes(ctSlice(0, shape), { syntax, compressed }));
      const result = await readVolume(path).catch(String);
      // JPEG 2000 may show a part of an image, of lower quality.
      if (codec.syntax === '80') expect(result).toContain('cannot be decoded');
    }
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(3000);
    const whole = dicomBytes(ctSlice(0, shape), { syntax, compressed: fragments([image]) });
    expect((await readVolume(file(`whole${codec.syntax}`, whole))).voxels[5]).toBe(signed(0)[5]! - 24);
  });

  it('images of another size than their file says are refused', async () => {
    const image = await encoded(codec, signed(0));
    const path = file(
      `other${codec.syntax}`,
      dicomBytes(ctSlice(0), { syntax, compressed: fragments([image]) }),
    );
    expect((await userErrorOf(readVolume(path))).message).toContain('64×48 pixels');
  });
});

/** Hooks of Node that hide the packages. */
const HIDING = `export function resolve(name, context, next) {
  if (name.startsWith('@cornerstonejs')) throw Object.assign(new Error(name), { code: 'ERR_MODULE_NOT_FOUND' });
  return next(name, context);
}`;

it('a package that is not installed is named', () => {
  const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const hook = dataUrl(
    `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(HIDING))});`,
  );
  const image = Buffer.from([0xff, 0xd8, 0xff, 0xf7, 0, 11, 16, 0, 3, 0, 4, 1, 1, 0x11, 0]);
  const options = { syntax: '1.2.840.10008.1.2.4.80', compressed: fragments([image]) };
  const path = file('hidden', dicomBytes(ctSlice(0), options));
  const script = join(import.meta.dirname, '../peak-memory.ts');
  const args = ['--import', 'tsx', '--import', hook, script, path];
  const { outcome } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  expect(outcome).toContain('npm install @cornerstonejs/codec-charls');
});
