/** The features of a scan, by the service and by this browser. */

import { gridOfSpacing } from '../src/inference/scan-grid.js';
import { planWindows, windowCount } from '../src/inference/windows.js';
import type { WebProvider } from '../src/runtime/web.js';
import { element, isAbort, make, messageOf, say, seconds } from './dom.js';
import { modelChoice, type OpenScan, type PageContext, type Panel } from './panel.js';
import type { ServedModel } from './served-model.js';
import { embed, modelFile } from './service.js';

/** The largest difference as a share of the largest feature, with which both are the same up to rounding. */
const SAME = 1e-4;

const cell = (row: string, name: string) => element(`#${row} .${name}`);

/** What is used here of WebGPU, which TypeScript does not know. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info: { readonly isFallbackAdapter?: boolean } } | null>;
}

/** WebGPU where there is a GPU behind it; one that is made of software is slower than WebAssembly. */
async function bestProvider(): Promise<WebProvider> {
  const adapter = await (navigator as { gpu?: Gpu }).gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.info.isFallbackAdapter ? 'webgpu' : 'wasm';
}

/** Features as a strip: the more ink, the larger. */
function drawStrip(canvas: HTMLCanvasElement, features: Float32Array): void {
  const [least, most] = [Math.min(...features), Math.max(...features)];
  canvas.width = features.length;
  canvas.height = 1;
  const ink = getComputedStyle(canvas).color.match(/\d+/g)!.slice(0, 3).map(Number);
  const pixels = new ImageData(features.length, 1);
  for (const [i, value] of features.entries())
    pixels.data.set([...ink, (255 * (value - least)) / (most - least || 1)], 4 * i);
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
  canvas.hidden = false;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  const largest = Math.max(...a.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / (largest || 1);
}

/** Windows that a browser gets through in a while that nobody minds. */
const FEW_WINDOWS = 200;

const windowsOf = ({ grid }: OpenScan, { spacing, window }: ServedModel): number =>
  windowCount(planWindows(gridOfSpacing(grid, spacing).size, window, 0));

/** Resolves when somebody presses a button that is shown in a row. */
function pressed(row: string, text: string, signal: AbortSignal): Promise<void> {
  const button = make('button', { type: 'button' }, text);
  cell(row, 'time').replaceChildren(button);
  return new Promise((resolve, reject) => {
    button.addEventListener('click', () => resolve());
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** Runs work, and shows what comes of it in a row. @returns null when it failed or was given up */
async function inRow<T>(row: string, work: () => Promise<T>): Promise<T | null> {
  element(`#${row}`).classList.remove('failed');
  cell(row, 'time').textContent = '…';
  cell(row, 'note').textContent = '';
  try {
    return await work();
  } catch (error) {
    if (isAbort(error)) return null;
    element(`#${row}`).classList.add('failed');
    cell(row, 'time').textContent = '—';
    cell(row, 'note').textContent = messageOf(error);
    return null;
  }
}

export function featuresPanel({ models }: PageContext): Panel | null {
  const able = models
    .filter(({ kind }) => kind === 'encoder' || kind === 'autoencoder')
    .sort((a, b) => Number(b.kind === 'encoder') - Number(a.kind === 'encoder'));
  if (able.length === 0) return null;
  const section = element('#features');
  const agreement = element('#agreement');
  const strip = element<HTMLCanvasElement>('#strip');
  let last: OpenScan | undefined;
  let work = new AbortController();

  const clear = (): void => {
    agreement.hidden = true;
    strip.hidden = true;
    for (const row of ['by-service', 'by-browser']) {
      element(`#${row}`).classList.remove('failed');
      for (const name of ['time', 'note']) cell(row, name).textContent = '';
    }
  };
  const byService = (scan: OpenScan, signal: AbortSignal) =>
    inRow('by-service', async () => {
      const began = performance.now();
      const features = await embed(model(), scan.file, signal);
      cell('by-service', 'time').textContent = seconds((performance.now() - began) / 1000);
      cell('by-service', 'note').textContent = 'ONNX Runtime; reading the scan included';
      drawStrip(strip, features);
      return features;
    });

  const byBrowser = (scan: OpenScan, signal: AbortSignal) =>
    inRow('by-browser', async () => {
      const windows = windowsOf(scan, model());
      if (windows > FEW_WINDOWS) {
        cell('by-browser', 'note').textContent =
          `${windows.toLocaleString('en')} windows: this may take minutes`;
        await pressed('by-browser', 'Run', signal);
        cell('by-browser', 'time').textContent = '…';
      }
      const provider = await bestProvider();
      const bytes = await modelFile(model(), signal);
      const {
        features,
        seconds: time,
        threads,
      } = await scan.worker.call('encode', { model: model(), bytes, provider }, (done, total) => {
        if (!signal.aborted) cell('by-browser', 'note').textContent = `window ${done} of ${total}`;
      });
      signal.throwIfAborted();
      const how =
        provider === 'webgpu' ? 'WebGPU' : `WebAssembly, ${threads} thread${threads === 1 ? '' : 's'}`;
      cell('by-browser', 'time').textContent = seconds(time);
      cell('by-browser', 'note').textContent = `${how}; loading included`;
      return features;
    });

  const run = async (scan: OpenScan): Promise<void> => {
    work.abort();
    work = new AbortController();
    clear();
    const signal = AbortSignal.any([scan.signal, work.signal]);
    // One after the other: both may be this machine, and are timed.
    const ours = await byService(scan, signal);
    if (signal.aborted) return;
    const theirs = await byBrowser(scan, signal);
    if (!ours || !theirs || signal.aborted) return;
    const difference = largestDifference(ours, theirs);
    const verdict = difference <= SAME ? 'The same' : 'Not the same';
    say(
      agreement,
      `${verdict}: ${ours.length} features, largest difference ${difference.toExponential(1)} of the largest feature.`,
      difference > SAME,
    );
    agreement.dataset.difference = String(difference);
    agreement.hidden = false;
  };
  const model = modelChoice(section, able, () => last && void run(last));
  return {
    take(scan) {
      work.abort();
      last = scan;
      section.hidden = false;
      clear();
    },
    // The last one: it need not be waited for.
    work: () => void (last && run(last)),
  };
}
