/** Scans whose voxels do not lie in the file that is named. */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readVolume, scanFiles } from '../../../src/data/scan/index.js';
import { concat, niftiHeader, rawBytes, temporaryFolder, userErrorOf } from './samples.js';

const file = temporaryFolder();
const HU = Int16Array.from({ length: 24 }, (_, i) => 37 * i - 400);
const voxels = rawBytes(HU, 'int16');

/** A header of 3×2×4 voxels. */
const header = (dataFile: string, more = '') =>
  `NDims = 3\nDimSize = 3 2 4\nElementType = MET_SHORT\n${more}ElementDataFile = ${dataFile}`;
/** Writes `scan.mhd` and reads it. */
const readMhd = (dataFile: string, more?: string) => readVolume(file('scan.mhd', header(dataFile, more)));
const slices = (name: (z: number) => string, encode = (bytes: Uint8Array) => bytes) =>
  [0, 1, 2, 3].map((z) => basename(file(name(z), encode(voxels.subarray(12 * z, 12 * z + 12)))));

mkdirSync(file('sub'));
file('a.raw', voxels);
file('sub/a.raw', voxels);

describe('one data file', () => {
  it.each(['a.raw', './a.raw', 'sub/a.raw', './sub/../a.raw', '.\\a.raw', 'sub\\a.raw', file('sub/a.raw')])(
    'is read in the folder of the header and below: %j',
    async (name) => {
      expect((await readMhd(name)).voxels).toEqual(HU);
    },
  );

  it('may have a name that looks like a list', async () => {
    file('list.raw', voxels);
    expect((await readMhd('list.raw')).voxels).toEqual(HU);
  });
});

describe('one file a slice', () => {
  const names = slices((z) => `s${String(z).padStart(3, '0')}.raw`);
  slices((z) => `n${z + 1}.raw`);
  slices((z) => `p ${String(7 + 2 * z).padStart(3, ' ')}.raw`);
  const list = names.join('\n');

  it.each([
    `LIST\n${list}\n`,
    `LIST\n${list}`,
    `LIST 2\r\n${names.join('\r\n')}\r\n`,
    `LIST 0\n${list}\n`,
    `LIST 3\n${list}\n`,
    `LIST\n\n./${names.join('\n\n./')}\n`,
    `LIST\n${list}\nbeyond.raw\n`,
    's%03d.raw 0 3 1\n',
    's%03d.raw 0',
    's%03d.raw 0 3',
    's%03d.raw 0 99 1',
    'n%d.raw',
    'p %3d.raw 7 13 2',
    'p %3d.raw 7 13',
  ])('is read: %j', async (dataFile) => {
    expect((await readMhd(dataFile)).voxels).toEqual(HU);
  });

  it('may be one file a row, or a file of all for a fourth axis of length 1', async () => {
    const rows = Array.from({ length: 8 }, (_, i) =>
      basename(file(`r${i}.raw`, voxels.subarray(6 * i, 6 * i + 6))),
    );
    expect((await readMhd(`LIST 1\n${rows.join('\n')}`)).voxels).toEqual(HU);
    const flat = header('LIST\na.raw').replace('NDims = 3', 'NDims = 4').replace('3 2 4', '3 2 4 1');
    expect((await readVolume(file('flat.mhd', flat))).voxels).toEqual(HU);
  });

  it('is read compressed, behind HeaderSize bytes, or at its end for −1', async () => {
    const packed = slices((z) => `z${z}.raw`, deflateSync);
    const compressed = await readMhd(`LIST\n${packed.join('\n')}`, 'CompressedData = True\n');
    expect(compressed.voxels).toEqual(HU);
    slices(
      (z) => `h${z}.raw`,
      (bytes) => concat(new Uint8Array(5), bytes),
    );
    for (const size of [5, -1])
      expect((await readMhd('h%d.raw 0 3 1', `HeaderSize = ${size}\n`)).voxels).toEqual(HU);
  });

  it.each([
    [`LIST\n${names.slice(1).join('\n')}\n`, 'number of data files does not match the number of slices'],
    ['LIST', 'number of data files does not match the number of slices'],
    ['s%03d.raw 0 2 1', 'number of data files does not match the number of slices'],
    ['s%03d.raw 0 4', 'pattern'],
    ['s%03d.raw 3 0', 'pattern'],
    ['s%03d.raw 0 3 0', 'pattern'],
    ['s%s.raw 0 3 1', 'pattern'],
    ['%d%d.raw 0 3 1', 'pattern'],
    ['s%03d.raw 1 4 1', 's004.raw'],
    ['../%03d.raw 0 3 1', 'in the folder of the header'],
    [`LIST\n${names.slice(1).join('\n')}\n/etc/passwd\n`, 'in the folder of the header'],
  ])('is refused: %j', async (dataFile, message) => {
    const error = await userErrorOf(readMhd(dataFile));
    expect(error.message).toContain(message);
  });

  it('is refused when one is too short, or there are more than any scan has', async () => {
    file('s003.raw', voxels.subarray(0, 11));
    expect((await userErrorOf(readMhd('s%03d.raw 0 3 1'))).message).toMatch(/s003\.raw.*too short/);
    file('s003.raw', voxels.subarray(36));
    const thin = header('x%d.raw').replace('3 2 4', '1 1 99999999');
    expect((await userErrorOf(readVolume(file('thin.mhd', thin)))).message).toContain('too many files');
  });

  it('makes a scan of many files, all of which it names', async () => {
    file('scan.mhd', header(`LIST\n${list}\n`));
    const files = (await scanFiles(file('scan.mhd'))).map((path) => basename(path));
    expect(files).toEqual(['scan.mhd', ...names]);
    file('local.mha', header('LOCAL\n'));
    expect(await scanFiles(file('local.mha'))).toEqual([file('local.mha')]);
    file('pair.hdr', niftiHeader({ magic: 'ni1\0', voxOffset: 0 }));
    file('pair.img', new Uint8Array(120));
    expect((await scanFiles(file('pair.img'))).map((path) => basename(path))).toEqual([
      'pair.hdr',
      'pair.img',
    ]);
  });
});

describe('symbolic links', () => {
  for (const folder of ['home', 'home/scans', 'home/links', 'blobs', 'elsewhere']) mkdirSync(file(folder));
  const link = (target: string, path: string) => {
    rmSync(file(path), { force: true });
    symlinkSync(target, file(path));
  };
  file('elsewhere/secret.raw', voxels);
  const pair = niftiHeader({ magic: 'ni1\0', voxOffset: 0, dim: [3, 3, 2, 4, 1, 1, 1, 1] });

  it('beside a header do not lead to files elsewhere', async () => {
    link('../../elsewhere/secret.raw', 'home/scans/link.raw');
    link('../../elsewhere', 'home/scans/folder');
    link('../../elsewhere/secret.raw', 'home/scans/pair.img');
    file('home/scans/pair.hdr', pair);
    const found = async (dataFile: string) =>
      (await userErrorOf(readVolume(file('home/scans/x.mhd', header(dataFile))))).message;
    for (const name of [
      'link.raw',
      'folder/secret.raw',
      `LIST${'\nlink.raw'.repeat(4)}`,
      '../../elsewhere/secret.raw',
    ])
      expect(await found(name)).toMatch(/in the folder of the header[\s\S]*secret\.raw/);
    expect((await userErrorOf(readVolume(file('home/scans/pair.hdr')))).message).toContain(
      'in the folder of the header',
    );
    expect((await userErrorOf(readVolume(file('home/scans/pair.img')))).message).toContain(
      'in the folder of the header',
    );
    await userErrorOf(scanFiles(file('home/scans/pair.img')));
  });

  it('may lead to files in the same folder', async () => {
    link('../../a.raw', 'home/scans/own.raw');
    const path = file('own.mhd', header('home/scans/own.raw'));
    expect((await readVolume(path)).voxels).toEqual(HU);
  });

  it('may lead to a header, with the data beside either, or to the whole folder', async () => {
    file('home/scans/b.mhd', header('b.raw'));
    file('home/scans/b.raw', voxels);
    file('home/scans/c.hdr', pair);
    file('home/scans/c.img', voxels);
    link('../scans/b.mhd', 'home/links/other.mhd');
    link('../scans/c.hdr', 'home/links/other.hdr');
    link('scans', 'home/whole');
    for (const name of ['links/other.mhd', 'links/other.hdr', 'whole/b.mhd', 'whole/c.hdr'])
      expect((await readVolume(file(`home/${name}`))).voxels, name).toEqual(HU);
    // A store of contents by hash, as caches of downloads have it.
    file('blobs/1f', header('d.raw'));
    file('blobs/2e', voxels);
    link('../../blobs/1f', 'home/links/d.mhd');
    link('../../blobs/2e', 'home/links/d.raw');
    expect((await readVolume(file('home/links/d.mhd'))).voxels).toEqual(HU);
  });
});
