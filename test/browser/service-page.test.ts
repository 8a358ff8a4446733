import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeIndex } from '../../src/commands/make-index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { thresholds, writePretrained, writeThresholds } from '../inference/models.js';
import { type TestService, testService } from '../serve/service.js';
import { askedElsewhere, type Chromium, dropFile, hasChromium, startChromium } from './chromium.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const spacing = [6, 5, 7] as const;
const { volume } = makePhantom({ seed: 3, index: 0, size: [48, 40, 32], spacing });

describe.skipIf(!hasChromium)('the page of the service, in Chromium', () => {
  let chromium: Chromium;
  let service: TestService;
  let page: Page;

  const newPage = async (): Promise<Page> => {
    const opened = await chromium.newPage({ viewport: { width: 1200, height: 800 } });
    opened.on('console', (message) => message.type() === 'error' && chromium.faults.push(message.text()));
    return opened;
  };
  beforeAll(async () => {
    await writeNifti(at('chest.nii.gz'), volume);
    writePretrained(at('encoder.onnx'), 'encoder');
    const part = { proxy: 'parts2whole', part: '{"scale":[0.0625,0.25]}' };
    writePretrained(at('whole.onnx'), 'autoencoder', part);
    writeThresholds(at('tissues.onnx'));
    const models = ['encoder.onnx', 'whole.onnx', 'tissues.onnx'].map(at);
    mkdirSync(at('scans'));
    await writeNifti(at('scans/same.nii.gz'), volume);
    const other = makePhantom({ seed: 4, index: 0, size: [48, 40, 32], spacing });
    await writeNifti(at('scans/other.nii.gz'), other.volume);
    const index = at('index');
    await makeIndex({ model: at('encoder.onnx'), input: [at('scans')], out: index, per: 'window' });
    service = await testService({ models, index });
    chromium = await startChromium('--use-angle=swiftshader', '--enable-unsafe-swiftshader');
    page = await newPage();
    await page.goto(service.url);
  });
  afterAll(() => chromium?.browser.close());

  const drop = (name: string, bytes: Buffer) => dropFile(page, '#canvas', name, bytes);
  /** Colours of the viewer, in its four quarters. */
  const quarters = async (): Promise<Set<string>[]> => {
    const { width, height, data, channels } = decode(await page.locator('#canvas').screenshot());
    const found = [0, 1, 2, 3].map(() => new Set<string>());
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const from = channels * (x + width * y);
        const quarter = (x < width / 2 ? 0 : 1) + (y < height / 2 ? 0 : 2);
        found[quarter]!.add(data.subarray(from, from + 3).join());
      }
    return found;
  };
  const drawings = () => page.evaluate("Number(document.querySelector('#part').dataset.drawn)");
  const drawnAgain = (before: unknown) =>
    expect.poll(drawings, { timeout: 30_000 }).toBeGreaterThan(before as number);
  const slider = (name: string) => page.getByLabel(name, { exact: true });

  test('shows a scan that is dropped in three planes and as a volume', async () => {
    await drop('chest.nii.gz', readFileSync(at('chest.nii.gz')));
    await page.waitForSelector('#part[data-drawn]');
    expect(await page.textContent('#status')).toBe('chest.nii.gz · 48 × 40 × 32 · 6.0 × 5.0 × 7.0 mm');
    for (const colours of await quarters()) expect(colours.size).toBeGreaterThan(50);
    expect(await page.textContent('#place')).toMatch(/^[RL] \d+ · [AP] \d+ · [SI] \d+ mm: /);
  });

  test('has the same features from the service and from the browser', async () => {
    await page.waitForSelector('#agreement:not([hidden])');
    const difference = await page.getAttribute('#agreement', 'data-difference');
    expect(Number(difference)).toBeLessThan(1e-4);
    expect(await page.textContent('#by-browser .note')).toMatch(/^WebAssembly, \d+ threads?/);
    for (const row of ['#by-service', '#by-browser'])
      expect(await page.textContent(`${row} .time`)).toMatch(/^[\d.]+ s$/);
  });

  test('draws the whole anew from a box that a key or the mouse changes', async () => {
    const [from, to] = [slider('right – left: from'), slider('right – left: to')];
    expect(Number(await to.inputValue()) - Number(await from.inputValue())).toBe(9);
    const pixels = () => page.evaluate("document.querySelector('.pictures canvas').toDataURL()");
    const [count, first] = [await drawings(), await pixels()];
    await to.press('ArrowRight');
    await drawnAgain(count);
    expect(Number(await to.inputValue()) - Number(await from.inputValue())).toBe(10);
    expect(await pixels()).not.toBe(first);
    const handle = await page.locator('[data-plane="axial"][data-grip="low low"]').boundingBox();
    const [x, y] = [handle!.x + handle!.width / 2, handle!.y + handle!.height / 2];
    const before = Number(await slider('front – back: from').inputValue());
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x, y - 60, { steps: 5 });
    await page.mouse.up();
    expect(Number(await slider('front – back: from').inputValue())).toBeLessThan(before);
    // Nothing of what is dragged over happens to the viewer, and the box stays in the scan.
    await slider('feet – head: from').press('Home');
    expect(await slider('feet – head: from').inputValue()).toBe('0');
  });

  test('moves a face to the end of the scan, and no other, when it is dragged out of the plane', async () => {
    const faces = () =>
      page.evaluate("[...document.querySelectorAll('.sliders input')].map(({ value }) => value)") as Promise<
        string[]
      >;
    /** Drags a handle of the axial plane to pixels of the window. */
    const drag = async (grip: string, to: (x: number, y: number) => readonly [number, number]) => {
      const [x, y] = (await page.evaluate(`(() => {
        const handle = document.querySelector('[data-plane="axial"][data-grip="${grip}"]');
        const { left, right, top, bottom } = handle.getBoundingClientRect();
        return [(left + right) / 2, (top + bottom) / 2];
      })()`)) as [number, number];
      await page.mouse.move(x, y);
      await page.mouse.down();
      await page.mouse.move(...to(x, y), { steps: 8 });
      await page.mouse.up();
    };
    const before = await faces();
    const canvas = (await page.locator('#canvas').boundingBox())!;
    await drag('all high', (x) => [x + 30, canvas.y + canvas.height + 40]);
    const tall = before.with(3, '40');
    expect(await faces()).toEqual(tall);
    // Radiologists see the right on the left.
    await drag('all all', (_, y) => [canvas.x - 60, y]);
    const width = Number(before[1]) - Number(before[0]);
    expect(await faces()).toEqual(tall.with(0, '0').with(1, String(width)));
  });

  test('lays a mask over the scan, and says how large its classes are', async () => {
    await page.click('#segment');
    await page.waitForSelector('.volumes td');
    const labels = thresholds(volume.voxels);
    const rows = await page.locator('.volumes tr').allTextContents();
    for (const [i, name] of ['tissue', 'bone'].entries()) {
      const ml =
        (labels.filter((label) => label === i + 1).length * spacing[0] * spacing[1] * spacing[2]) / 1000;
      const text = ml.toLocaleString('en', { maximumFractionDigits: 1 });
      expect(rows[i]).toBe(`${name}${text} ml`);
    }
    const coloured = (colours: Set<string>) =>
      [...colours].filter((colour) => {
        const parts = colour.split(',').map(Number);
        return Math.max(...parts) - Math.min(...parts) > 60;
      }).length;
    await page.uncheck('#box-shown');
    for (const colours of (await quarters()).slice(0, 3)) expect(coloured(colours)).toBeGreaterThan(10);
    await page.check('#box-shown');
  });

  test('is as dark as the screen, and fits a phone', async () => {
    const paper = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await paper()).toBe('rgb(255, 255, 255)');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await paper()).toBe('rgb(20, 23, 27)');
    await page.setViewportSize({ width: 375, height: 700 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(375);
    expect((await page.locator('#canvas').boundingBox())!.width).toBeGreaterThan(300);
    await page.setViewportSize({ width: 1200, height: 800 });
  });

  test('shows nothing of the scan before beside a new one, while the network is still at work', async () => {
    const opened = await newPage();
    await opened.goto(service.url);
    await opened.setInputFiles('#file', at('chest.nii.gz'));
    await opened.waitForSelector('#agreement:not([hidden])');
    await opened.click('#segment');
    await opened.waitForSelector('.volumes td');
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    await opened.route('**/infer', async (route) => {
      await held;
      await route.continue();
    });
    await opened.setInputFiles('#file', at('scans/other.nii.gz'));
    await opened.locator('#status', { hasText: 'other.nii.gz · 48' }).waitFor();
    expect(await opened.locator('.volumes td').count()).toBe(0);
    expect(await opened.isHidden('#agreement')).toBe(true);
    expect(await opened.textContent('#by-service .time')).toBe('');
    // And what is asked for now is done.
    await opened.click('#segment');
    await opened.waitForSelector('.volumes td');
    goOn();
    await opened.waitForSelector('#agreement:not([hidden])');
    expect(await opened.locator('.volumes td').count()).toBeGreaterThan(0);
    await opened.close();
  });

  test('says what is wrong with a file, and goes on with the scan before', async () => {
    await drop('x.nii', Buffer.from('no scan'));
    await page.waitForSelector('#status.failed');
    expect(await page.textContent('#status')).toContain('x.nii');
    const count = await drawings();
    await slider('feet – head: from').press('ArrowRight');
    await drawnAgain(count);
    await page.click('#segment');
    await page.waitForSelector('.volumes td');
  });

  test('finds similar regions in the index of the service, and opens their scans', async () => {
    const searching = await newPage();
    await searching.goto(service.url);
    await searching.setInputFiles('#file', at('chest.nii.gz'));
    await searching.click('#search-box');
    await searching.waitForSelector('.hits li');
    const names = await searching.locator('.hits li span').allTextContents();
    expect(names).toHaveLength(8);
    for (const name of names) expect(['same', 'other']).toContain(name);
    expect(await searching.locator('.hits img').count()).toBe(8);
    expect(await searching.locator('#map .hit').count()).toBeGreaterThan(0);
    expect(await searching.locator('#map .here').count()).toBe(1);
    await searching.click('.hits button');
    await searching.locator('#status', { hasText: names[0]! }).waitFor();
    await searching.close();
  });

  test('asks for the token that a service wants', async () => {
    writeFileSync(at('token'), 'a-token-of-32-characters-or-more');
    const guarded = await testService({ models: [at('tissues.onnx')], tokenFile: at('token') });
    // Its refusals are errors to the browser.
    const asked = await chromium.browser.newPage();
    await asked.goto(guarded.url);
    expect(await asked.isHidden('#refused')).toBe(true);
    // The second is none that can be sent.
    for (const token of ['wrong', 'a-token-of-32-characters-or-more…', 'a-token-of-32-characters-or-more']) {
      await asked.waitForSelector('#token-dialog[open]');
      if (token !== 'wrong') await asked.waitForSelector('#refused:not([hidden])');
      await asked.fill('#token', token);
      await asked.click('#token-dialog button');
    }
    await asked.setInputFiles('#file', at('chest.nii.gz'));
    await asked.click('#segment');
    await asked.waitForSelector('.volumes td');
    await asked.close();
  });

  test('sent nothing to anybody but its service, and ran without an error', () => {
    expect(askedElsewhere(chromium, service.url)).toEqual([]);
    expect(chromium.faults).toEqual([]);
  });
});
