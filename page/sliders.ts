/** A box as sliders, two for each axis: for keyboards, and for who wants a number. */
import type { Grid } from '../src/data/scan/volume.js';
import { withFace } from './box.js';
import { make } from './dom.js';
import type { Box } from './messages.js';

const AXES = ['right – left', 'front – back', 'feet – head'] as const;
const FACES = ['low', 'high'] as const;

export interface Sliders {
  show(box: Box): void;
}

/** @param onBox is told of a box that sliders have made */
export function makeSliders(parent: Element, { size, spacing }: Grid, onBox: (box: Box) => void): Sliders {
  let shown: Box | undefined;
  const rows = AXES.map((name, i) => {
    const axis = i as 0 | 1 | 2;
    const inputs = FACES.map((face) => {
      const input = make('input', {
        ...{ type: 'range', min: 0, max: size[axis], step: 1 },
        'aria-label': `${name}: ${face === 'low' ? 'from' : 'to'}`,
      });
      input.addEventListener('input', () => {
        if (shown) onBox(withFace(shown, size, axis, face, input.valueAsNumber));
      });
      return input;
    });
    const extent = make('output');
    const row = make(
      'div',
      { class: 'slider' },
      make('span', {}, name),
      make('span', { class: 'range' }, ...inputs),
      extent,
    );
    return { row, inputs, extent };
  });
  parent.replaceChildren(...rows.map(({ row }) => row));
  return {
    show(box) {
      shown = box;
      for (const [i, { row, inputs, extent }] of rows.entries()) {
        const axis = i as 0 | 1 | 2;
        const [low, high] = [box.low[axis], box.high[axis]];
        inputs[0]!.valueAsNumber = low;
        inputs[1]!.valueAsNumber = high;
        row.style.setProperty('--from', String(low / size[axis]));
        row.style.setProperty('--to', String(high / size[axis]));
        extent.textContent = `${Math.round((high - low) * spacing[axis])} mm`;
      }
    },
  };
}
