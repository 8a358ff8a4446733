/** DICOM files of other programs. */
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findScans, readVolume } from '../../../../src/data/scan/index.js';
import { UserError } from '../../../../src/errors.js';
import { expectSameGrid } from '../samples.js';

const DATA = join(import.meta.dirname, '../../../../../shared/data');
const present = existsSync(join(DATA, 'format_samples/dicom'));
if (!present) console.warn('skipped: no third-party DICOM in ../shared/data');
const dicom = (name: string) => join(DATA, 'format_samples/dicom', name);

const homes: string[] = [];
afterAll(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

/** Reads a file by a folder of its own: beside it are other files of its series. */
function readAlone(path: string) {
  const home = mkdtempSync(join(tmpdir(), 'p2w-dicom-'));
  homes.push(home);
  symlinkSync(path, join(home, 'only'));
  return readVolume(join(home, 'only'));
}

describe.skipIf(!present)('a chest CT', () => {
  it('is the same as DICOM and as NRRD', async () => {
    const [series, nrrd] = await Promise.all(
      ['ct-64Dicom', 'ct-64.nrrd'].map((name) => readVolume(join(DATA, 'cip_ct64', name))),
    );
    expect(series!.voxels).toEqual(nrrd!.voxels);
    expectSameGrid(series!, nrrd!, 3);
  });

  it('has a segmentation that is the one its makers wrote as NRRD', async () => {
    const folder = join(DATA, 'format_samples/dcmqi/data/segmentations');
    const [mask, nrrd, image] = await Promise.all(
      ['liver.dcm', 'liver_seg.nrrd', 'ct-3slice'].map((name) => readVolume(join(folder, name))),
    );
    const labels = Buffer.from(mask!.voxels.buffer);
    expect(labels.equals(Buffer.from(nrrd!.voxels.buffer))).toBe(true);
    expectSameGrid(mask!, image!, 3);
  });
});

describe.skipIf(!present)('one slice in many transfer syntaxes', () => {
  const reference = present ? readVolume(dicom('CTImage.dcm')) : undefined;
  const names = present ? readdirSync(dicom('')).filter((name) => name.startsWith('CTImage.dcm_')) : [];
  /** How many HU those with loss may be off. */
  const LOSS: Record<string, number> = { '50': 100, '51': 40, '81': 10, '91': 60 };

  it.each(names)('%s', async (name) => {
    const end = /\.(\d+)\.dcm$/.exec(name)![1]!;
    if (end === '53' || end === '55') {
      await expect(readVolume(dicom(name))).rejects.toThrow(
        `1.2.840.10008.1.2.4.${end}, which is not supported`,
      );
      return;
    }
    const { voxels, ...grid } = await readAlone(dicom(name));
    const { voxels: expected, ...same } = (await reference)!;
    expect(grid).toEqual(same);
    let most = 0;
    // Outside of the field of view, lossy ones have whatever their fewer bits can hold.
    for (let i = 0; i < voxels.length; i++)
      if (expected[i]! > -1100) most = Math.max(most, Math.abs(voxels[i]! - expected[i]!));
    expect(most).toBeLessThanOrEqual(LOSS[end] ?? 0);
  });
});

describe.skipIf(!present)('every file', () => {
  const names = present
    ? [
        ...readdirSync(dicom('')).filter((name) => name !== 'pydicom'),
        ...readdirSync(dicom('pydicom')).map((name) => `pydicom/${name}`),
      ]
    : [];

  it('is a volume, or refused with a reason', async () => {
    let volumes = 0;
    for (const name of names) {
      const result = await readAlone(dicom(name)).catch((error: unknown) => error);
      if (result instanceof UserError) expect(result.facts.got ?? result.facts.expected, name).toBeTruthy();
      else {
        expect(result, name).toHaveProperty('voxels');
        volumes++;
      }
    }
    expect(volumes).toBeGreaterThanOrEqual(29);
  });

  it('is found in the tree, or passed over, and nobody is named', async () => {
    const passed: string[] = [];
    const found = await findScans([dicom('')], { passedOver: (line) => passed.push(line) });
    expect(found.length).toBeGreaterThan(0);
    expect(passed.length).toBeGreaterThan(20);
    expect([...found, ...passed].join('\n')).not.toMatch(/\^|CompressedSamples|\.\d{6,}\./);
  });
});
