import { encode } from 'fast-png';
import type { GreyImage } from './data.js';
import { type Html, html } from './html.js';

/** Width in CSS pixels near which images are shown, by a whole factor so that voxels stay square. */
const DISPLAY_WIDTH = 100;

/** A grey image as an `<img>` that carries its own PNG. */
export function picture(image: GreyImage, alt: string): Html {
  const { width, height, pixels } = image;
  const png = encode({ width, height, data: pixels, channels: 1, depth: 8 });
  const factor = Math.max(1, Math.round(DISPLAY_WIDTH / width));
  const source = `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
  return html`<img src="${source}" alt="${alt}" width="${width * factor}" height="${height * factor}">`;
}
