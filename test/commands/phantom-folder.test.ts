/** The folder that phantoms are written to: none of anything else, and no mixture. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writePhantoms } from '../../src/commands/phantom.js';
import { writeTaskPhantoms } from '../../src/commands/phantom-task.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const size: XYZ = [16, 16, 16];
const ofTask = (out: string, more: { scans?: number; size?: XYZ; seed?: number } = {}) =>
  writeTaskPhantoms({ task: 'ncc', out, scans: 2, size, ...more });

/** All files below a folder, with what is in them. */
const filesOf = (out: string) =>
  readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'base64')])
    .sort();

describe.each([
  ['writePhantoms', 'scans', (out: string) => writePhantoms({ out, scans: 1, size })],
  ['writeTaskPhantoms', 'subset0', (out: string) => ofTask(out)],
] as const)('%s', (name, scans, write) => {
  test('leaves a folder of something else as it is', async () => {
    const out = at(`real-${name}`);
    mkdirSync(join(out, scans), { recursive: true });
    writeFileSync(join(out, 'annotations.csv'), 'seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,2,3,4\n');
    const before = filesOf(out);
    await expect(write(out)).rejects.toThrow(
      /was not made by `p2w phantom`[\s\S]*a new or empty folder[\s\S]*choose another folder/,
    );
    expect(filesOf(out)).toEqual(before);
    expect(readdirSync(join(out, scans))).toEqual([]);
  });

  test('takes an empty folder, and its own again', async () => {
    const out = at(`empty-${name}`);
    mkdirSync(out);
    await write(out);
    const before = filesOf(out);
    rmSync(join(out, scans), { recursive: true });
    await write(out);
    expect(filesOf(out)).toEqual(before);
  });
});

test('phantoms of other options are not mixed', async () => {
  const out = at('mixed');
  await ofTask(out);
  const before = filesOf(out);
  for (const [more, message] of [
    [{ scans: 1 }, /with other options[\s\S]*scans 1 instead of 2/],
    [{ scans: 3 }, /scans 3 instead of 2/],
    [{ size: [16, 16, 24] }, /size \[16,16,24\] instead of \[16,16,16\]/],
    [{ seed: 2 }, /seed 2 instead of 1[\s\S]*choose another folder for --out, or delete this one/],
  ] as const)
    await expect(ofTask(out, more)).rejects.toThrow(message);
  await expect(writeTaskPhantoms({ task: 'ecc', out, scans: 2, size })).rejects.toThrow(
    /layout "ecc" instead of "ncc"/,
  );
  await expect(writePhantoms({ out, scans: 2, size })).rejects.toThrow(/layout "nii.gz" instead of "ncc"/);
  const { code, stderr } = await p2wHere(['phantom', '--out', out, '--scans', '2', '--size', '16x16x16']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('with other options')]);
  expect(filesOf(out)).toEqual(before);
  writeFileSync(join(out, 'phantom.json'), '{');
  await expect(ofTask(out)).rejects.toThrow(/a damaged mark/);
});
