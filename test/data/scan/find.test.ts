import { mkdirSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findScans, readVolume, SCAN_EXTENSIONS } from '../../../src/data/scan/index.js';
import { temporaryFolder, userErrorOf } from './samples.js';

const file = temporaryFolder();
for (const folder of ['scans', 'scans/deep', 'scans/deep/er', 'empty', 'loop', 'links'])
  mkdirSync(file(folder));
for (const name of [
  'b.mhd',
  'b.raw',
  'c.hdr',
  'c.img',
  'only.img',
  'a.NII.GZ',
  '.hidden.nii',
  '._b.mhd',
  'x.txt',
]) {
  file(`scans/${name}`, '');
}
file('scans/deep/er/d.npy', '');
file('scans/deep/e.mha', '');
symlinkSync('..', file('loop/up'));
file('loop/f.nii', '');
symlinkSync('loop', file('loop-again'));
symlinkSync('../scans/b.mhd', file('links/z.mhd'));
symlinkSync('nowhere.nii', file('links/gone.nii'));
symlinkSync('self.nii', file('links/self.nii'));

/** Paths below the test's folder. */
async function find(...names: string[]): Promise<string[]> {
  const found = await findScans(names.map((name) => file(name)));
  return found.map((path) => path.slice(file('').length + 1));
}

describe('findScans', () => {
  it('lists a folder and all below, sorted, pairs once, hidden files not', async () => {
    expect(await find('scans')).toEqual([
      'scans/a.NII.GZ',
      'scans/b.mhd',
      'scans/c.hdr',
      'scans/deep/e.mha',
      'scans/deep/er/d.npy',
    ]);
  });

  it('counts a file once, however it is reached', async () => {
    expect(await find('scans/c.img', 'scans/c.hdr', 'scans/deep', 'scans/deep/e.mha')).toEqual([
      'scans/c.hdr',
      'scans/deep/e.mha',
      'scans/deep/er/d.npy',
    ]);
    expect(await find('scans/b.mhd', 'links/z.mhd')).toEqual(['links/z.mhd']);
  });

  it('does not run in circles along symbolic links', async () => {
    const found = await find('loop');
    expect(found.filter((path) => path.endsWith('/f.nii'))).toEqual(['loop/f.nii']);
  });

  it('lists broken links, so that reading names them instead of a scan missing silently', async () => {
    expect(await find('links')).toEqual(['links/gone.nii', 'links/self.nii', 'links/z.mhd']);
    expect((await userErrorOf(readVolume(file('links/gone.nii')))).message).toContain('no such file');
    expect((await userErrorOf(readVolume(file('links/self.nii')))).message).toContain('loop');
  });

  it('refuses what does not exist, folders without scans and other files', async () => {
    expect((await userErrorOf(find('nothing'))).message).toContain('no such file');
    expect((await userErrorOf(find('scans', 'empty'))).message).toContain('no scans in this folder');
    expect((await userErrorOf(find('scans/x.txt'))).facts.expected).toBe(
      `${SCAN_EXTENSIONS.join(', ')}, or DICOM`,
    );
    expect((await userErrorOf(find('scans/b.raw'))).facts.fix).toContain('.mhd');
  });
});

describe('readVolume', () => {
  it('refuses other extensions, folders and nothing', async () => {
    expect((await userErrorOf(readVolume(file('scans/x.txt')))).kind).toBe('input');
    mkdirSync(file('folder.nii'));
    expect((await userErrorOf(readVolume(file('folder.nii')))).message).toContain('not a regular file');
    expect((await userErrorOf(readVolume(file('nothing.mha')))).message).toContain('no such file');
  });
});
