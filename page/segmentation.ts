/** A mask over the scan, and the volumes of its classes. */
import { element, isAbort, make, messageOf, say, seconds } from './dom.js';
import { modelChoice, type OpenScan, type PageContext, type Panel } from './panel.js';
import { segment } from './service.js';
import type { Colour } from './viewer.js';

/** Apart for every kind of colour vision, and on grey (Okabe & Ito 2008); orange, which the box has, is the last. */
const COLOURS: readonly Colour[] = [
  [86, 180, 233],
  [240, 228, 66],
  [0, 158, 115],
  [213, 94, 0],
  [204, 121, 167],
  [0, 114, 178],
  [230, 159, 0],
];
const colourOf = (label: number): Colour => COLOURS[(label - 1) % COLOURS.length]!;

const MASK = 'mask';
const MM3_PER_ML = 1000;
const ML = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export function segmentationPanel({ models, viewer }: PageContext): Panel | null {
  const able = models.filter(({ kind }) => kind === 'segmenter');
  if (able.length === 0) return null;
  const section = element('#segmentation');
  const status = element('.status', section);
  const button = element<HTMLButtonElement>('#segment');
  const opacity = element<HTMLInputElement>('#mask-opacity');
  const rows = element('tbody', section);
  let scan: OpenScan | undefined;
  let work = new AbortController();

  /** Ends what is going on, and removes what has come of it. */
  const clear = (): void => {
    work.abort();
    work = new AbortController();
    viewer.remove(MASK);
    rows.replaceChildren();
    button.disabled = false;
    say(status, '');
  };
  const run = async (): Promise<void> => {
    if (!scan) return;
    clear();
    const signal = AbortSignal.any([scan.signal, work.signal]);
    button.disabled = true;
    say(status, 'The service is segmenting the scan …');
    const began = performance.now();
    try {
      const { classes } = model();
      const nifti = await segment(model(), scan.file, signal);
      const time = (performance.now() - began) / 1000;
      const look = { colours: classes.map((_, i) => colourOf(i + 1)), opacity: opacity.valueAsNumber };
      const { labels, voxelMm3 } = await viewer.overlayMask(MASK, nifti, look, signal);
      const counts = new Array<number>(classes.length + 1).fill(0);
      for (const label of labels) counts[label]!++;
      rows.replaceChildren(
        ...classes.map((name, i) => {
          const swatch = make('span', { class: 'colour' });
          swatch.style.backgroundColor = `rgb(${colourOf(i + 1).join(' ')})`;
          const ml = (counts[i + 1]! * voxelMm3) / MM3_PER_ML;
          return make(
            'tr',
            {},
            make('th', { scope: 'row' }, swatch, name),
            make('td', {}, `${ML.format(ml)} ml`),
          );
        }),
      );
      say(status, `Segmented in ${seconds(time)}.`);
    } catch (error) {
      if (!isAbort(error)) say(status, messageOf(error), true);
    }
    if (!signal.aborted) button.disabled = false;
  };
  const model = modelChoice(section, able, clear);
  button.addEventListener('click', () => void run());
  opacity.addEventListener('input', () => viewer.setOpacity(MASK, opacity.valueAsNumber));
  return {
    take(next) {
      scan = next;
      section.hidden = false;
      clear();
    },
  };
}
