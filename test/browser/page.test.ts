import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servePage, versionOf } from '../../examples/shared/build.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { openPretraining } from '../../src/browser/index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { STYLE } from '../../src/report/style.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { readSafetensors } from '../../src/weights/safetensors-file.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { bgzip } from './bgzip.js';
import {
  askedElsewhere,
  type Chromium,
  dropFile,
  hasChromium,
  keptOffline,
  startChromium,
} from './chromium.js';

const SECONDS = 1000;
const folder = temporaryFolder();

describe.skipIf(!hasChromium)('the example page, in Chromium', () => {
  let chromium: Chromium;
  let page: Page;
  let site: Awaited<ReturnType<typeof servePage>>;
  const status = () => page.locator('#status');

  beforeAll(async () => {
    site = await servePage('browser', join(folder, 'page'));
    chromium = await startChromium('--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader');
    page = await chromium.newPage();
    await page.goto(site.url);
  }, 60 * SECONDS);
  afterAll(async () => {
    await chromium?.browser.close();
    await site?.close();
  });

  // What runs in the page is text: this file knows Node.js only.
  const waitForStep = (step: number) =>
    page.waitForFunction(
      `Number(/^step (\\d+)/.exec(document.querySelector('#status').textContent)?.[1]) >= ${step}`,
      null,
      { timeout: 120 * SECONDS },
    );
  /** How many different values the pixels of each image have. */
  const shades = () =>
    page.evaluate(`[...document.querySelectorAll('canvas')].map(
      (canvas) => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size,
    )`) as Promise<number[]>;

  test('trains on a scan that is dropped, without a network, and gives the weights away', {
    timeout: 240 * SECONDS,
  }, async () => {
    const path = join(folder, 'chest.nii.gz');
    await writeNifti(path, makePhantom({ seed: 2, index: 0, size: [96, 96, 64], spacing: [4, 4, 5] }).volume);
    // Kept by its service worker, which also lets it have threads.
    await page.waitForFunction('crossOriginIsolated', null, { timeout: 60 * SECONDS });
    await keptOffline(page);
    await page.context().setOffline(true);
    await page.reload();

    await dropFile(page, '#drop', 'chest.nii.gz', bgzip(gunzipSync(readFileSync(path))));
    expect(await page.textContent('#scan-name')).toBe('chest.nii.gz');

    await page.click('#start');
    await waitForStep(2);
    expect(await page.isDisabled('#start')).toBe(true);
    await page.click('#stop');
    await page.waitForSelector('#downloads:not([hidden])', { timeout: 60 * SECONDS });
    expect(await status().textContent()).toMatch(/^stopped after \d+ steps$/);
    expect(await page.locator('#curve polyline').count()).toBe(2);
    const [part, drawn, whole] = await shades();
    expect(part).toBeGreaterThan(10);
    expect(drawn).toBeGreaterThan(2);
    expect(whole).toBeGreaterThan(10);

    const download = async (link: string, name: string) => {
      const [file] = await Promise.all([page.waitForEvent('download'), page.click(link)]);
      await file.saveAs(join(folder, name));
      return join(folder, name);
    };
    const { tensors, metadata } = readSafetensors(await download('#download-weights', 'weights.safetensors'));
    expect(tensors.get('encoder.0.conv1.weight')?.shape).toEqual([8, 1, 3, 3, 3]);
    expect(Number(metadata.training_steps)).toBeGreaterThanOrEqual(2);
    const encoder = decodeModel(readFileSync(await download('#download-encoder', 'encoder.onnx')));
    expect(encoder.graph.outputs.map(({ name }) => name)).toEqual(['feature_map', 'features']);
  });

  test('looks as reports do, on light and dark screens', async () => {
    for (const [colorScheme, paper] of [
      ['light', '#ffffff'],
      ['dark', '#14171b'],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      expect(STYLE).toContain(`--paper: ${paper}`);
      const [red, green, blue] = [1, 3, 5].map((i) => Number.parseInt(paper.slice(i, i + 2), 16));
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
        `rgb(${red}, ${green}, ${blue})`,
      );
    }
    // No control is left to the browser's own look.
    expect(await page.evaluate("getComputedStyle(document.querySelector('select')).appearance")).toBe('none');
    expect(await page.evaluate("getComputedStyle(document.querySelector('#weights')).opacity")).toBe('0');
  });

  test('goes on from weights, on WebGPU', { timeout: 240 * SECONDS }, async () => {
    await page.context().setOffline(false);
    // Of a network that a GPU made of software can train.
    const small = await openPretraining({
      engine: nodeEngine,
      scan: makePhantom({ seed: 1, index: 0, size: [64, 64, 48], spacing: [5, 5, 5] }).volume,
      config: { network: { width: 2, levels: 1 }, whole: [8, 8, 8], batch: 2 },
    });
    await page.setInputFiles('#weights', {
      name: 'weights.safetensors',
      mimeType: '',
      buffer: Buffer.from(await small.weights()),
    });
    expect(await page.textContent('#weights-name')).toBe('weights.safetensors');
    await small.release();
    await page.selectOption('#provider', 'webgpu');
    await page.click('#start');
    await waitForStep(1);
    await page.click('#stop');
    await page.waitForSelector('#downloads:not([hidden])', { timeout: 60 * SECONDS });
    // A start that fails takes nothing of it away.
    await page.setInputFiles('#scan', { name: 'x.nii', mimeType: '', buffer: Buffer.from('no scan') });
    await page.click('#start');
    await page.waitForSelector('#status.failed');
    expect(await page.isVisible('#downloads')).toBe(true);
  });

  test('keeps no older files of its own, and leaves those of others alone', async () => {
    const names = () => page.evaluate('caches.keys()') as Promise<string[]>;
    const [own] = await names();
    expect(own).toMatch(/^parts2whole-browser-[0-9a-f]{12}$/);
    await page.evaluate(`(async () => {
      for (const name of ['parts2whole-browser-older', 'parts2whole-classifier-1', 'theirs']) await caches.open(name);
      await caches.delete('${own}');
      navigator.serviceWorker.controller.postMessage('keep');
    })()`);
    await keptOffline(page);
    await expect
      .poll(async () => (await names()).sort())
      .toEqual([own, 'parts2whole-classifier-1', 'theirs']);
  });

  test('follows where its server redirects', async () => {
    mkdirSync(join(folder, 'page/inner'));
    writeFileSync(join(folder, 'page/inner/index.html'), '<!doctype html><title>inner</title>');
    await page.waitForFunction('crossOriginIsolated && navigator.serviceWorker.controller');
    await page.goto(`${site.url}/inner`);
    expect([await page.title(), page.url()]).toEqual(['inner', `${site.url}/inner/`]);
    await page.goto(site.url);
  });

  test('loses nothing that was chosen before the service worker is there', async () => {
    const slow = await chromium.newPage();
    await slow.addInitScript(`
      const register = navigator.serviceWorker.register.bind(navigator.serviceWorker);
      navigator.serviceWorker.register = async (...options) => {
        await new Promise((resolve) => { window.goOn = resolve; });
        return register(...options);
      };`);
    await slow.goto(site.url);
    await slow.setInputFiles('#scan', { name: 'x.nii', mimeType: '', buffer: Buffer.from('no scan') });
    await slow.evaluate('goOn()');
    await slow.waitForFunction('navigator.serviceWorker.controller');
    await slow.waitForTimeout(SECONDS);
    expect(await slow.textContent('#scan-name')).toBe('x.nii');
    await slow.close();
  });

  test('says that its worker cannot be had', async () => {
    const cut = await chromium.browser.newPage({ serviceWorkers: 'block' });
    await cut.goto(site.url);
    await cut.route('**/training.worker.js', (route) => route.abort());
    await cut.click('#start');
    await cut.locator('#status', { hasText: 'the worker could not be loaded' }).waitFor();
    expect(await cut.isEnabled('#start')).toBe(true);
    await cut.close();
  });

  test('says what is wrong with a file, and can start again', { timeout: 60 * SECONDS }, async () => {
    await page.setInputFiles('#scan', { name: 'x.nii', mimeType: '', buffer: Buffer.from('no scan') });
    await page.click('#start');
    await page.waitForSelector('#status.failed');
    expect(await status().textContent()).toContain('x.nii: this is not a NIfTI header');
    expect(await page.isEnabled('#start')).toBe(true);
    // Nothing is left of the training before.
    expect(await page.isVisible('#curve')).toBe(false);
    expect(await page.isVisible('canvas')).toBe(false);
  });

  test('sent nothing anywhere', () => {
    expect(
      chromium.requested.map((request) => request.method()).filter((method) => method !== 'GET'),
    ).toEqual([]);
    expect(askedElsewhere(chromium, site.url)).toEqual([]);
    expect(chromium.faults).toEqual([]);
  });
});

test('another byte of a file is another version of a page', () => {
  const version = (text: string) => {
    writeFileSync(join(folder, 'a.js'), text);
    return versionOf(folder, ['a.js']);
  };
  expect(version('one')).toBe(version('one'));
  expect(version('one')).not.toBe(version('two'));
});
