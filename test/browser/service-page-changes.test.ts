/** What becomes of the page of the service when things fail, or come too late. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeIndex } from '../../src/commands/make-index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeThresholds } from '../inference/models.js';
import { type TestService, testService } from '../serve/service.js';
import { type Chromium, hasChromium, startChromium } from './chromium.js';

/** A promise that is kept from outside. */
function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

describe.skipIf(!hasChromium)('the page of the service, in Chromium', () => {
  let chromium: Chromium;
  let service: TestService;
  let page: Page;

  beforeAll(async () => {
    mkdirSync(at('scans'));
    await writeNifti(at('chest.nii.gz'), noiseVolume([32, 32, 16], 1));
    await writeNifti(at('scans/other.nii.gz'), noiseVolume([32, 32, 16], 2));
    writePretrained(at('encoder.onnx'), 'encoder');
    writeThresholds(at('tissues.onnx'));
    const models = [at('encoder.onnx'), at('tissues.onnx'), `again=${at('tissues.onnx')}`];
    const index = at('index');
    await makeIndex({ model: at('encoder.onnx'), input: [at('scans')], out: index, per: 'window' });
    service = await testService({ models, index });
    chromium = await startChromium('--use-angle=swiftshader', '--enable-unsafe-swiftshader');
  });
  beforeEach(async () => {
    page = await chromium.newPage({ viewport: { width: 1200, height: 800 } });
    await page.goto(service.url);
  });
  afterEach(() => page?.close());
  afterAll(() => chromium?.browser.close());

  const opened = async () => {
    await page.setInputFiles('#file', at('chest.nii.gz'));
    await page.waitForSelector('#agreement:not([hidden])');
  };

  test('offers another file where the first one is none', async () => {
    await page.setInputFiles('#file', { name: 'x.nii', mimeType: '', buffer: Buffer.from('no scan') });
    await page.waitForSelector('#status.failed');
    expect(await page.isVisible('#tools')).toBe(false);
    await page.click('#phantom', { trial: true });
    await page.setInputFiles('#file', at('chest.nii.gz'));
    await page.locator('#status', { hasText: 'chest.nii.gz · ' }).waitFor();
    expect(await page.isVisible('#tools')).toBe(true);
  });

  test('says that its worker cannot be had', async () => {
    await page.route('**/scan.worker.js', (route) => route.abort());
    await page.setInputFiles('#file', at('chest.nii.gz'));
    await page.locator('#status', { hasText: 'the worker could not be loaded' }).waitFor();
  });

  test('shows no mask of a model that is no longer chosen', async () => {
    await opened();
    const { promise: held, resolve: goOn } = deferred();
    await page.route('**/v1/segment?model=tissues', async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await page.click('#segment');
    await page.selectOption('#segmentation select', 'again');
    expect(await page.textContent('#segmentation .status')).toBe('');
    expect(await page.isEnabled('#segment')).toBe(true);
    goOn();
    await page.waitForTimeout(2000);
    expect(await page.locator('.volumes td').count()).toBe(0);
    await page.click('#segment');
    await page.waitForSelector('.volumes td');
  });

  test('opens no hit that comes later than a scan that was chosen meanwhile', async () => {
    await opened();
    await page.click('#search-scan');
    await page.waitForSelector('.hits li');
    const { promise: held, resolve: goOn } = deferred();
    await page.route('**/v1/index/scans/*', async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await page.click('.hits button');
    await page.locator('#status', { hasText: /^Reading / }).waitFor();
    await page.setInputFiles('#file', at('scans/other.nii.gz'));
    await page.locator('#status', { hasText: 'other.nii.gz · ' }).waitFor();
    goOn();
    await page.waitForTimeout(1000);
    expect(await page.textContent('#status')).toContain('other.nii.gz · ');
  });
});
