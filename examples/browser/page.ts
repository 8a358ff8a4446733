/** The page: takes a scan, and shows what a network makes of it. */
import type { WebProvider } from 'parts2whole/browser';
import { element, showNames, takeDrops } from '../shared/elements.js';
import { goOffline } from '../shared/go-offline.js';
import { train } from '../shared/training.js';
import type { Image, Images, Start } from './messages.js';

const scanInput = element<HTMLInputElement>('#scan');
const weightsInput = element<HTMLInputElement>('#weights');

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

element('#form').addEventListener('submit', (event) => {
  event.preventDefault();
  const start: Start = {
    scan: scanInput.files?.[0] ?? null,
    weights: weightsInput.files?.[0] ?? null,
    provider: element<HTMLSelectElement>('#provider').value as WebProvider,
  };
  train<Start, Images>(start, (images) => {
    for (const [i, canvas] of document.querySelectorAll('canvas').entries()) show(canvas, images[i]!);
  });
});
showNames(scanInput, element('#scan-name'));
showNames(weightsInput, element('#weights-name'));
takeDrops(element('#drop'), scanInput);
goOffline();
