/** The page: takes a scan, starts and stops the worker, shows what it says. */
import type { WebProvider } from 'parts2whole/browser';
import { drawCurve, type Point } from './curve.js';
import type { FromWorker, Image, ToWorker } from './messages.js';

const element = <T extends Element>(selector: string): T => document.querySelector<T>(selector)!;
const scanInput = element<HTMLInputElement>('#scan');
const weightsInput = element<HTMLInputElement>('#weights');
const drop = element<HTMLElement>('#drop');
const start = element<HTMLButtonElement>('#start');
const stop = element<HTMLButtonElement>('#stop');
const status = element<HTMLOutputElement>('#status');
const downloads = element<HTMLElement>('#downloads');
const progress = element<HTMLElement>('#progress');
const images = element<HTMLElement>('#images');

/** The middle slice of an image, as grey pixels. */
function show(canvas: HTMLCanvasElement, { size: [width, height, depth], voxels }: Image): void {
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  const middle = width * height * Math.floor(depth / 2);
  for (let i = 0; i < width * height; i++)
    pixels.data.set([...new Array(3).fill(255 * voxels[middle + i]!), 255], 4 * i);
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
}

function say(text: string, failed = false): void {
  status.textContent = text;
  status.classList.toggle('failed', failed);
}

function offer(selector: string, bytes: Uint8Array): void {
  const link = element<HTMLAnchorElement>(selector);
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
}

function train(): void {
  const worker = new Worker('training.worker.js', { type: 'module' });
  const send = (message: ToWorker) => worker.postMessage(message);
  const training: Point[] = [];
  const validation: Point[] = [];
  const redraw = () => drawCurve(element('#curve'), training, validation);
  const running = (is: boolean) => {
    start.disabled = is;
    stop.disabled = !is;
  };
  const end = () => {
    worker.terminate();
    running(false);
  };
  const answers: { [K in FromWorker['kind']]: (message: Extract<FromWorker, { kind: K }>) => void } = {
    says: ({ text }) => say(text),
    step({ step, loss, seconds }) {
      training.push({ step, loss });
      progress.hidden = false;
      say(`step ${step}: loss ${loss.toFixed(4)}, ${seconds.toFixed(2)} s per step`);
      redraw();
    },
    validation({ step, mse, images: slices }) {
      validation.push({ step, loss: mse });
      images.hidden = false;
      for (const [i, canvas] of document.querySelectorAll('canvas').entries()) show(canvas, slices[i]!);
      redraw();
    },
    done({ weights, encoder }) {
      offer('#download-weights', weights);
      offer('#download-encoder', encoder);
      downloads.hidden = false;
      say(`stopped after ${training.length} steps`);
      end();
    },
    failed({ message }) {
      say(message, true);
      end();
    },
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) =>
    (answers[data.kind] as (message: FromWorker) => void)(data);
  worker.onerror = ({ message }) => answers.failed({ kind: 'failed', message });
  stop.onclick = () => {
    stop.disabled = true;
    say('stopping after this step');
    send({ kind: 'stop' });
  };
  for (const shown of [downloads, progress, images]) shown.hidden = true;
  running(true);
  const provider = element<HTMLSelectElement>('#provider').value as WebProvider;
  send({
    kind: 'start',
    scan: scanInput.files?.[0] ?? null,
    weights: weightsInput.files?.[0] ?? null,
    provider,
  });
}

element('#form').addEventListener('submit', (event) => {
  event.preventDefault();
  train();
});
/** Shows which file was chosen. */
function showName(input: HTMLInputElement, name: Element): void {
  const none = name.textContent;
  input.addEventListener('change', () => {
    name.textContent = input.files?.[0]?.name ?? none;
  });
}
showName(scanInput, element('#scan-name'));
showName(weightsInput, element('#weights-name'));
for (const name of ['dragover', 'dragleave', 'drop'])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragover');
  });
drop.addEventListener('drop', ({ dataTransfer }) => {
  if (!dataTransfer?.files.length) return;
  scanInput.files = dataTransfer.files;
  scanInput.dispatchEvent(new Event('change'));
});

/** Without the service worker the page works too, on one thread and with a network. */
async function goOffline(): Promise<void> {
  await navigator.serviceWorker.register('offline.js');
  await navigator.serviceWorker.ready;
  // The first time, the page came without the headers that the service worker adds.
  if (!crossOriginIsolated && !sessionStorage.getItem('reloaded')) {
    sessionStorage.setItem('reloaded', 'yes');
    location.reload();
  }
}
if ('serviceWorker' in navigator) goOffline().catch(() => say('ready, but this page will not work offline'));
