/** Which files the page of the service opens, and as which scans. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { ctSeries } from '../data/scan/dicom/writer.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained } from '../inference/models.js';
import { type TestService, testService } from '../serve/service.js';
import { bgzip } from './bgzip.js';
import { type Chromium, hasChromium, startChromium } from './chromium.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const phantom = (seed: number) =>
  makePhantom({ seed, index: 0, size: [48, 40, 32], spacing: [6, 5, 7] }).volume;
const volume = phantom(3);
const filesOf = (files: Readonly<Record<string, Uint8Array>>) =>
  Object.entries(files).map(([name, bytes]) => ({ name, mimeType: '', buffer: Buffer.from(bytes) }));

describe.skipIf(!hasChromium)('the page of the service, in Chromium', () => {
  let chromium: Chromium;
  let service: TestService;
  let opened: Page;

  beforeAll(async () => {
    await writeNifti(at('chest.nii.gz'), volume);
    await writeNifti(at('other.nii.gz'), phantom(4));
    writePretrained(at('encoder.onnx'), 'encoder');
    service = await testService({ models: [at('encoder.onnx')] });
    chromium = await startChromium('--use-angle=swiftshader', '--enable-unsafe-swiftshader');
  });
  afterAll(() => chromium?.browser.close());
  beforeEach(async () => {
    opened = await chromium.newPage({ viewport: { width: 1200, height: 800 } });
    await opened.goto(service.url);
  });
  afterEach(() => opened.close());

  test('reads what NiiVue and browsers cannot, by way of the service', async () => {
    await opened.setInputFiles('#file', filesOf(ctSeries(6)));
    await opened.locator('#status', { hasText: '.nii.gz · ' }).waitFor();
    await opened.waitForSelector('#agreement:not([hidden])');
    expect(Number(await opened.getAttribute('#agreement', 'data-difference'))).toBeLessThan(1e-4);
  });

  test('opens a header with its data file, and a file of bgzip', async () => {
    await writeMetaImage(at('pair.mhd'), volume);
    await opened.setInputFiles('#file', [at('pair.mhd'), at('pair.raw')]);
    await opened.locator('#status', { hasText: 'pair.nii.gz · 48 × 40 × 32' }).waitFor();
    writeFileSync(at('blocks.nii.gz'), bgzip(gunzipSync(readFileSync(at('chest.nii.gz')))));
    await opened.setInputFiles('#file', at('blocks.nii.gz'));
    await opened.locator('#status', { hasText: 'blocks.nii.gz · 48 × 40 × 32' }).waitFor();
  });

  test('shows a scan where the mask will lie: by the geometry, units and values that p2w reads', async () => {
    const placeOf = async (name: string, change: (header: DataView) => void) => {
      const nii = Buffer.from(gunzipSync(readFileSync(at('chest.nii.gz'))));
      change(new DataView(nii.buffer, nii.byteOffset));
      await opened.setInputFiles('#file', { name, mimeType: '', buffer: nii });
      await opened.locator('#status', { hasText: `${name} · 48 × 40 × 32 · 6.0 × 5.0 × 7.0 mm` }).waitFor();
      const [millimetres] = (await opened.textContent('#place'))!.split(':');
      return millimetres;
    };
    const place = await placeOf('as-it-is.nii', () => {});
    const twoPlaces = (header: DataView) => {
      header.setInt16(252, 2, true);
      header.setInt16(254, 1, true);
      header.setFloat32(268, header.getFloat32(268, true) + 60, true);
    };
    expect(await placeOf('two-places.nii', twoPlaces)).toBe(place);
    const micrometres = (header: DataView) => {
      for (const at of [80, 84, 88, 268, 272, 276, ...Array.from({ length: 12 }, (_, i) => 280 + 4 * i)])
        header.setFloat32(at, 1000 * header.getFloat32(at, true), true);
      header.setUint8(123, 3);
    };
    expect(await placeOf('micrometres.nii', micrometres)).toBe(place);
  });

  test('opens the one scan among files, and says that two are two', async () => {
    writeFileSync(at('chest.json'), '{}');
    await opened.setInputFiles('#file', [at('chest.json'), at('chest.nii.gz')]);
    await opened.locator('#status', { hasText: 'chest.nii.gz · 48 × 40 × 32' }).waitFor();
    await opened.setInputFiles('#file', [at('chest.nii.gz'), at('other.nii.gz')]);
    await opened.locator('#status.failed', { hasText: 'these are 2 scans' }).waitFor();
  });

  test('asks which of several DICOM series to open, and keeps the scan before where none is chosen', async () => {
    const other = ctSeries(4, () => ({ '0020000e': ['UI', '1.2.3.99.77'] }));
    const renamed = Object.fromEntries(Object.entries(other).map(([name, bytes]) => [`b-${name}`, bytes]));
    await opened.setInputFiles('#file', filesOf({ ...ctSeries(6), ...renamed }));
    const choices = opened.locator('#choice-dialog[open] #choices button');
    await choices.first().waitFor();
    const told = await choices.allTextContents();
    expect(told.map((text) => /^CT, 4×3×(\d) voxels of /.exec(text)?.[1]).sort()).toEqual(['4', '6']);
    await choices.filter({ hasText: '4×3×4' }).click();
    await opened.locator('#status', { hasText: '4 × 3 × 4' }).waitFor();
    await opened.setInputFiles('#file', filesOf({ ...ctSeries(6), ...renamed }));
    await choices.first().waitFor();
    await opened.keyboard.press('Escape');
    await opened.locator('#status.failed', { hasText: 'none of these 2 scans was chosen' }).waitFor();
    expect(await opened.isVisible('#tools')).toBe(true);
    // Another scan closes the question.
    await opened.setInputFiles('#file', filesOf({ ...ctSeries(6), ...renamed }));
    await choices.first().waitFor();
    await opened.setInputFiles('#file', at('chest.nii.gz'));
    await opened.locator('#status', { hasText: 'chest.nii.gz · 48 × 40 × 32' }).waitFor();
    expect(await opened.isVisible('#choice-dialog')).toBe(false);
  });
});
