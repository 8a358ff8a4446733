import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from 'fast-png';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servePage } from '../../examples/shared/build.js';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { modelOf, node, type Parts, value, weight } from '../graphs/imported/models.js';
import { noise } from '../graphs/run.js';
import { askedElsewhere, type Chromium, hasChromium, keptOffline, startChromium } from './chromium.js';

const SECONDS = 1000;
const SIZE = 32;
const folder = temporaryFolder();

const ints = (...values: number[]) => ({ kind: 'ints', value: values }) as const;
/** x [batch,3,height,width] → y [batch,3]: two convolutions, the second of which is averaged over the picture. */
const convolutional: Parts = {
  inputs: [value('x', ['batch', 3, 'height', 'width'])],
  outputs: ['y'],
  nodes: [
    node('Conv', ['x', 'first.weight', 'first.bias'], ['a'], { strides: ints(2, 2) }),
    node('Relu', ['a'], ['b']),
    node('Conv', ['b', 'second.weight', 'second.bias'], ['c'], { strides: ints(2, 2) }),
    node('Relu', ['c'], ['d']),
    node('GlobalAveragePool', ['d'], ['e']),
    node('Flatten', ['e'], ['f']),
    node('Gemm', ['f', 'head.weight', 'head.bias'], ['y']),
  ],
  tensors: {
    'first.weight': weight([8, 3, 3, 3], 1),
    'first.bias': weight([8], 2),
    'second.weight': weight([8, 8, 3, 3], 3),
    'second.bias': weight([8], 4),
    'head.weight': weight([8, 3], 5),
    'head.bias': weight([3], 6),
  },
};
/** The same of fixed sizes, with the channels last. */
const channelsLast: Parts = {
  ...convolutional,
  inputs: [value('picture', [4, SIZE, SIZE, 3])],
  nodes: [node('Transpose', ['picture'], ['x'], { perm: ints(0, 3, 1, 2) }), ...convolutional.nodes],
};

const COLOURS = { red: [210, 40, 30], blue: [40, 60, 200] } as const;
type Colour = keyof typeof COLOURS;

/** A square of a colour, somewhere on a noisy ground: [32,32,3]. */
function picture(colour: Colour, seed: number): Uint8Array {
  const ground = noise(SIZE * SIZE, seed);
  const [left, top] = [1 + ((seed * 7) % 18), 1 + ((seed * 5) % 18)];
  return Uint8Array.from({ length: 3 * SIZE * SIZE }, (_, i) => {
    const [place, channel] = [Math.floor(i / 3), i % 3];
    const [x, y] = [place % SIZE, Math.floor(place / SIZE)];
    const inside = x >= left && x < left + 12 && y >= top && y < top + 12;
    return inside ? COLOURS[colour][channel]! : 128 + 40 * ground[place]!;
  });
}
const file = (name: string, buffer: Uint8Array) => ({ name, mimeType: '', buffer: Buffer.from(buffer) });
const pictures = (colour: Colour, count: number) =>
  Array.from({ length: count }, (_, i) =>
    file(
      `${colour}-${i}.png`,
      encode({ width: SIZE, height: SIZE, channels: 3, data: picture(colour, i + 1) }),
    ),
  );

describe.skipIf(!hasChromium)('the page that fine-tunes classifiers, in Chromium', () => {
  let chromium: Chromium;
  let page: Page;
  let site: Awaited<ReturnType<typeof servePage>>;
  const status = () => page.locator('#status');

  beforeAll(async () => {
    site = await servePage('classifier', join(folder, 'page'));
    chromium = await startChromium();
    page = await chromium.newPage();
    await page.goto(site.url);
  }, 60 * SECONDS);
  afterAll(async () => {
    await chromium?.browser.close();
    await site?.close();
  });

  const chooseModel = (parts: Parts) => page.setInputFiles('#model', file('classifier.onnx', modelOf(parts)));
  const choosePictures = (place: number, files: readonly ReturnType<typeof file>[]) =>
    page
      .locator('#classes li')
      .nth(place)
      .locator('input[type="file"]')
      .setInputFiles([...files]);
  const name = (place: number) => page.locator('#classes .name').nth(place);
  /** What the page says of a training that cannot begin. */
  const refused = async () => {
    await page.click('#start');
    await page.waitForSelector('#status.failed');
    expect(await page.isEnabled('#start')).toBe(true);
    return status().textContent();
  };
  const trainUntil = async (accuracy: string) => {
    await page.click('#start');
    await page.locator('#accuracy', { hasText: accuracy }).waitFor({ timeout: 120 * SECONDS });
    await page.click('#stop');
    await page.waitForSelector('#downloads:not([hidden])', { timeout: 60 * SECONDS });
    expect(await status().textContent()).toMatch(/^stopped after \d+ steps$/);
  };
  const trained = async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download-model')]);
    await download.saveAs(join(folder, 'trained.onnx'));
    return readFileSync(join(folder, 'trained.onnx'));
  };

  test('trains until it tells all held-out pictures apart, without a network, and gives the model away', {
    timeout: 240 * SECONDS,
  }, async () => {
    // Kept by its service worker, which also lets it have threads.
    await page.waitForFunction('crossOriginIsolated', null, { timeout: 60 * SECONDS });
    await keptOffline(page);
    expect(await page.evaluate('caches.keys()')).toEqual([expect.stringMatching(/^parts2whole-classifier-/)]);
    await page.context().setOffline(true);
    await page.reload();

    await chooseModel(convolutional);
    expect(await page.textContent('#model-name')).toBe('classifier.onnx');
    for (const side of ['#height', '#width']) {
      expect(await page.inputValue(side)).toBe('224');
      await page.fill(side, String(SIZE));
    }
    await page.selectOption('#normalisation', 'unit');
    await page.selectOption('#learning-rate', '0.01');
    for (const [place, colour] of (['red', 'blue'] as const).entries()) {
      await name(place).fill(colour);
      await choosePictures(place, pictures(colour, 15));
    }
    expect(await page.locator('#classes strong').allTextContents()).toEqual(['15 pictures', '15 pictures']);
    await trainUntil('6 of 6');
    expect(await page.locator('#curve polyline').count()).toBe(2);
    const said = await page.locator('#pictures figcaption').allTextContents();
    expect(said.map((text) => text.replace(/, \d+ %$/, ''))).toEqual([
      ...Array(3).fill('✓ red'),
      ...Array(3).fill('✓ blue'),
    ]);

    const bytes = await trained();
    // The file that was chosen but for its weights: sizes that were open still are.
    expect(decodeModel(bytes).graph.inputs).toEqual(convolutional.inputs);
    const session = await nodeEngine.load(bytes, { threads: 1 });
    for (const [label, colour] of (['red', 'blue'] as const).entries())
      for (let seed = 50; seed < 55; seed++) {
        const pixels = picture(colour, seed);
        const data = Float32Array.from({ length: pixels.length }, (_, i) => {
          const [channel, place] = [Math.floor(i / SIZE ** 2), i % SIZE ** 2];
          return pixels[3 * place + channel]! / 255;
        });
        const { y } = await session.run({ x: { type: 'float32', shape: [1, 3, SIZE, SIZE], data } });
        const logits = [...(y!.data as Float32Array)];
        expect(logits.indexOf(Math.max(...logits))).toBe(label);
      }
    await session.release();
  });

  test('takes a model of fixed sizes with the channels last, and pictures of any size', {
    timeout: 240 * SECONDS,
  }, async () => {
    await page.context().setOffline(false);
    await chooseModel(channelsLast);
    await page.locator('#height:disabled').waitFor();
    expect(await page.inputValue('#height')).toBe(String(SIZE));
    const wide = encode({ width: 80, height: 40, channels: 1, data: new Uint8Array(3200).fill(99) });
    await choosePictures(0, [file('grey.png', wide), ...pictures('red', 9)]);
    await page.click('#start');
    await page.waitForSelector('#accuracy:has-text("of 5")', { timeout: 120 * SECONDS });
    await page.click('#stop');
    await page.waitForSelector('#downloads:not([hidden])', { timeout: 60 * SECONDS });
    expect(decodeModel(await trained()).graph.inputs).toEqual(channelsLast.inputs);
  });

  test('says what is wrong with a model', { timeout: 120 * SECONDS }, async () => {
    await page.setInputFiles('#model', file('notes.txt', Buffer.from('no model')));
    await page.waitForSelector('#status.failed');
    expect(await status().textContent()).toContain('notes.txt: this is not an ONNX model');

    const beside = { file: 'weights.bin', offset: 0, length: 96 };
    const elsewhere = encodeModel(decodeModel(modelOf(convolutional)), new Map([['head.weight', beside]]));
    await page.setInputFiles('#model', file('large.onnx', elsewhere));
    await page.locator('#status.failed', { hasText: 'weights.bin' }).waitFor();

    await chooseModel({ ...convolutional, inputs: [value('x', ['batch', 1, 28, 28])] });
    await page.locator('#status.failed', { hasText: 'this model does not take pictures' }).waitFor();

    await chooseModel({
      ...convolutional,
      nodes: [
        node('Imaginary', ['x'], ['p'], {}, 'somewhere'),
        node('NonZero', ['x'], ['q']),
        ...convolutional.nodes,
      ],
      outputs: ['y', 'p', 'q'],
    });
    const unsupported = await refused();
    expect(unsupported).toMatch(/cannot be trained:\n {2}.*Imaginary[\s\S]*\n {2}NonZero/);
    expect(unsupported).not.toContain('    at ');
  });

  test('says what is wrong with classes and pictures', { timeout: 120 * SECONDS }, async () => {
    await chooseModel(convolutional);
    await choosePictures(1, pictures('blue', 4));
    expect(await refused()).toContain('blue: 4 pictures are too few');
    // Nothing is left of the training before.
    expect(await page.isVisible('#curve')).toBe(false);
    expect(await page.isVisible('#accuracy')).toBe(false);

    const broken = file('broken.png', Buffer.from('no picture'));
    await choosePictures(1, [...pictures('blue', 5), broken]);
    expect(await refused()).toContain('broken.png: this picture cannot be read');

    await choosePictures(1, pictures('blue', 5));
    for (const place of [2, 3]) {
      await page.click('#add');
      await choosePictures(place, pictures('red', 5));
    }
    expect(await refused()).toMatch(/fewer outputs than there are classes[\s\S]*3 outputs, 4 classes/);
    await page.locator('.remove').last().click();
    await name(2).fill('red');
    expect(await refused()).toContain('red: two classes have this name');
  });

  test('sent nothing anywhere', () => {
    expect(
      chromium.requested.map((request) => request.method()).filter((method) => method !== 'GET'),
    ).toEqual([]);
    expect(askedElsewhere(chromium, site.url)).toEqual([]);
    expect(chromium.faults).toEqual([]);
  });
});
