/** Which series are found in files and folders, and what they are called. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findScans, readVolume } from '../../../../src/data/scan/index.js';
import type { Volume } from '../../../../src/data/scan/volume.js';
import { identifyScans } from '../../../../src/data/store/sources.js';
import { userErrorOf } from '../samples.js';
import { hu, PIXELS, ROOT, series, seriesFolder } from './series-sample.js';
import { ctSeries, ctSlice, dicomBytes, type Elements, PLANTED, writeFiles } from './writer.js';

const { file, write } = seriesFolder();

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
