/** What the network makes of a part of the scan. */
import type { Grid, XYZ } from '../src/data/scan/volume.js';
import { firstBox, moved, wholeAround } from './box.js';
import { type BoxOverlay, boxOverlay } from './box-overlay.js';
import { element, isAbort, make, messageOf, say, seconds } from './dom.js';
import type { Box, Cut, Picture } from './messages.js';
import { modelChoice, type OpenScan, type PageContext, type Panel } from './panel.js';
import { windowOf } from './served-model.js';
import { infer } from './service.js';
import { makeSliders, type Sliders } from './sliders.js';
import { PLANE_AXES, type PlaneName } from './viewer.js';

/** Dragging goes on for a moment before the network is asked. */
const PAUSE_MS = 120;

const DRAWN = 'drawn by the network';
const PLANES = Object.keys(PLANE_AXES) as PlaneName[];

/** The middle slice of an image in a plane, as a radiologist sees it: head up, face to the left or up. */
function drawSlice(canvas: HTMLCanvasElement, { size, voxels }: Picture, plane: PlaneName, mm: XYZ): void {
  const [across, down] = PLANE_AXES[plane];
  const [width, height] = [size[across], size[down]];
  const strides = [1, size[0], size[0] * size[1]] as const;
  const out = ([0, 1, 2] as const).find((axis) => axis !== across && axis !== down)!;
  const middle = strides[out] * Math.floor(size[out] / 2);
  canvas.width = width;
  canvas.height = height;
  canvas.style.aspectRatio = `${mm[across]} / ${mm[down]}`;
  const pixels = new ImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const row = down === 2 ? height - 1 - y : y;
      const grey = 255 * voxels[middle + x * strides[across] + row * strides[down]]!;
      pixels.data.set([grey, grey, grey, 255], 4 * (x + width * y));
    }
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
}

const extentOf = ({ low, high }: Box, { spacing }: Grid): XYZ =>
  low.map((face, i) => (high[i]! - face) * spacing[i]!) as unknown as XYZ;

const meanDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

export interface PartPanel extends Panel {
  /** The box in the scan that is open; null without one. */
  box(): Box | null;
  /** Draws the box anew, where the viewer has drawn. */
  redraw(): void;
  /** Moves the middle of the box to a place, in shares of the scan. */
  centre(at: XYZ): void;
}

export function partPanel({ models, viewer }: PageContext): PartPanel | null {
  const able = models.filter(({ kind }) => kind === 'autoencoder');
  if (able.length === 0) return null;
  const section = element('#part');
  const status = element('.status', section);
  const isShown = element<HTMLInputElement>('#box-shown');
  const isOver = element<HTMLInputElement>('#drawn');
  const opacity = element<HTMLInputElement>('#drawn-opacity');
  const canvases = new Map(
    PLANES.map((plane) => {
      const three = ['box', 'network', 'scan'].map((what) =>
        make('canvas', { role: 'img', 'aria-label': `${what}, ${plane}` }),
      );
      const cells = three.map((canvas) => make('td', {}, canvas));
      element('tbody', section).append(make('tr', {}, make('th', { scope: 'row' }, plane), ...cells));
      return [plane, three as [HTMLCanvasElement, HTMLCanvasElement, HTMLCanvasElement]] as const;
    }),
  );
  let open: {
    readonly scan: OpenScan;
    readonly grid: Grid;
    readonly overlay: BoxOverlay;
    readonly sliders: Sliders;
  } | null = null;
  let box: Box | null = null;
  let drawn: { readonly cut: Cut; readonly voxels: Float32Array } | null = null;
  let work = new AbortController();

  const layOver = async (): Promise<void> => {
    if (!isOver.checked || !drawn || !open) return viewer.remove(DRAWN);
    const { cut, voxels } = drawn;
    const { low, high } = windowOf(model());
    const values = Int16Array.from(voxels, (value) => low + value * (high - low));
    const greys = model().normalise === 'hu' ? null : { low, high };
    const look = { greys, opacity: opacity.valueAsNumber };
    await viewer.overlay(DRAWN, { ...cut.grid, voxels: values }, look, open.scan.signal);
    if (!isOver.checked) viewer.remove(DRAWN);
  };
  const fail = (error: unknown): void => {
    if (!isAbort(error)) say(status, messageOf(error), true);
  };
  const redraw = () => {
    const seen = isShown.checked ? box : null;
    open?.overlay.draw(seen, seen && wholeAround(seen, model().metadata.part));
  };

  const ask = async (): Promise<void> => {
    work.abort();
    work = new AbortController();
    if (!open || !box) return;
    const { scan, grid } = open;
    const signal = AbortSignal.any([scan.signal, work.signal]);
    try {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      signal.throwIfAborted();
      const asked = box;
      const cut = await scan.worker.call('cut', { box: asked, model: model() });
      signal.throwIfAborted();
      const began = performance.now();
      const voxels = await infer(model(), cut.input, 'reconstruction', signal);
      const time = (performance.now() - began) / 1000;
      drawn = { cut, voxels };
      const [part, whole] = [extentOf(asked, grid), extentOf(cut.wholeBox, grid)];
      for (const [plane, [first, second, third]] of canvases) {
        drawSlice(first, cut.part, plane, part);
        drawSlice(second, { size: cut.whole.size, voxels }, plane, whole);
        drawSlice(third, cut.whole, plane, whole);
      }
      const error = meanDifference(voxels, cut.whole.voxels);
      say(
        status,
        `Drawn in ${seconds(time)}; mean absolute difference to the scan ${percent(error)} of the grey levels.`,
      );
      section.dataset.drawn = String(Number(section.dataset.drawn ?? 0) + 1);
      await layOver();
    } catch (error) {
      fail(error);
    }
  };
  const setBox = (next: Box): Promise<void> => {
    box = next;
    open?.sliders.show(next);
    redraw();
    return ask();
  };
  const change = (next: Box) => void setBox(next);
  const model = modelChoice(section, able, () => box && void setBox(box));
  isShown.addEventListener('change', redraw);
  isOver.addEventListener('change', () => void layOver().catch(fail));
  opacity.addEventListener('input', () => viewer.setOpacity(DRAWN, opacity.valueAsNumber));

  return {
    box: () => box,
    redraw,
    centre(at) {
      if (!open || !box) return;
      const { low, high } = box;
      const by = at.map((share, i) => share * open!.grid.size[i]! - (low[i]! + high[i]!) / 2);
      void setBox(moved(box, open.grid.size, by as unknown as XYZ));
    },
    take(scan) {
      work.abort();
      drawn = null;
      section.hidden = false;
      say(status, '');
      for (const canvas of [...canvases.values()].flat()) canvas.width = 0;
      const { grid } = scan;
      open = {
        ...{ scan, grid, sliders: makeSliders(element('.sliders', section), grid, change) },
        overlay: boxOverlay(element<SVGSVGElement>('#overlay'), viewer, grid.size, change),
      };
      box = firstBox(grid, model());
      open.sliders.show(box);
      redraw();
    },
    work: ask,
  };
}
