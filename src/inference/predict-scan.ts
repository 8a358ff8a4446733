/** A network's values for a whole scan, window by window. */
import { formatShape } from '../../graphs/onnx/types.js';
import type { CropGrid } from '../data/scan/crop.js';
import type { XYZ } from '../data/scan/volume.js';
import { checkInteger, UserError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import { checkFinite } from './finite.js';
import type { ImageModel } from './image-model.js';
import type { ModelScan } from './model-scan.js';
import { resamplePlanes } from './resample-planes.js';
import { coarserGrid, partOfGrid, type ReadGrid } from './scan-grid.js';
import { type Plane, slidingWindow } from './sliding-window.js';
import { windowRunner } from './window-runner.js';
import { checkOverlap, planWindows, windowCount } from './windows.js';

/** How a scan is gone through, as callers say it. */
export interface WindowOptions {
  /** Voxels of a window, x, y, z, at the model's spacing; those that the model was trained on without it. */
  readonly window?: XYZ;
  /** Share of a window that the next one covers again. */
  readonly overlap?: number;
  /** Windows that the network computes at once; 1 without it, which is fastest on a CPU. */
  readonly batch?: number;
}

/** The same, complete. */
export type Windows = Required<WindowOptions>;

/** @throws UserError for windows that the model cannot take, or that do not fit in memory */
export function checkedWindows(model: ImageModel, options: WindowOptions, overlap: number): Windows {
  const windows = { overlap, batch: 1, ...given(options), window: options.window ?? model.size };
  const { window, batch } = windows;
  if (window === null)
    throw new UserError('usage', {
      what: 'the model does not record the image size it was trained on',
      where: model.path,
      fix: 'give --window',
    });
  checkOverlap(windows.overlap);
  checkInteger('--batch', batch, 1);
  for (const length of window) checkInteger('--window', length, 1);
  if (model.fixed.some((length, i) => length !== null && length !== window[i]))
    throw new UserError('usage', {
      what: 'the model takes images of another size',
      where: '--window',
      got: window.join('×'),
      expected: model.fixed.map((length) => length ?? 'any').join('×'),
    });
  if (window.some((length, i) => length % model.multiples[i]! !== 0))
    throw new UserError('usage', {
      what: 'windows of this size cannot be divided by the poolings of the model',
      where: '--window',
      got: window.join('×'),
      expected: `multiples of ${model.multiples.join(', ')}`,
    });
  const bytes = 2 * batch * window[0] * window[1] * window[2] * Float32Array.BYTES_PER_ELEMENT;
  if (bytes > memoryLimitBytes())
    throw new UserError('usage', {
      what: 'a batch of windows of this size does not fit in memory',
      where: '--window, --batch',
      got: `${batch} of ${window.join('×')} voxels`,
    });
  return { ...windows, window };
}

const given = (options: WindowOptions): WindowOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** Values of an output at all voxels of a grid. */
export interface Predicted {
  readonly channels: number;
  /** The grid, in voxels of the scan. */
  readonly grid: CropGrid;
  readonly planes: AsyncIterable<Plane>;
}

export interface PredictOptions {
  readonly windows: Windows;
  /** Name of an output [N,C,D,H,W]. */
  readonly output: string;
  /** Voxels of the model's grid that one of its output stands for, x, y, z. */
  readonly stride: XYZ;
  /** Reads a window, given where it lies in the scan; what is there without it. */
  readonly read?: ReadGrid;
  /** Is told how many windows are done, and how many there are. */
  readonly onWindows?: (done: number, total: number) => void;
}

/** Runs a model on the windows of a scan. Work is done as the planes are asked for. */
export function predictScan(model: ImageModel, scan: ModelScan, options: PredictOptions): Predicted {
  const { windows, output, stride, onWindows } = options;
  const { window, overlap, batch } = windows;
  const grid = coarserGrid(scan.grid, stride);
  const each = divided(window, stride);
  const plan = planWindows(grid.size, each, overlap);
  const channels = model.outputs.get(output)![1];
  if (typeof channels !== 'number')
    throw new UserError('input', {
      what: `the model does not say how many channels its output "${output}" has`,
      where: model.path,
    });
  const length = batch * channels * each[0] * each[1] * each[2];
  const run = windowRunner(model, options.read ?? scan.read, windows);
  let done = 0;
  const planes = slidingWindow({ plan, channels, batch }, async (origins) => {
    const outputs = await run(
      origins.map((origin) => partOfGrid(scan.grid, multiplied(origin, stride), window)),
    );
    const { data, shape } = outputs[output]!;
    if (data.length !== length)
      throw new UserError('input', {
        what: `the output "${output}" of the model does not have the size that it should have`,
        where: model.path,
        got: formatShape(shape),
        expected: formatShape([batch, channels, ...each.toReversed()]),
      });
    checkFinite(data as Float32Array, output, model.path);
    done += origins.length;
    onWindows?.(done, windowCount(plan));
    return data as Float32Array;
  });
  return { channels, grid, planes };
}

/** The same values at the voxels of the scan. */
export const onScan = ({ planes, channels, grid }: Predicted, { volume }: ModelScan): AsyncIterable<Plane> =>
  resamplePlanes(planes, channels, grid, volume.size);

const divided = (a: XYZ, b: XYZ) => a.map((value, i) => value / b[i]!) as unknown as XYZ;
const multiplied = (a: XYZ, b: XYZ) => a.map((value, i) => value * b[i]!) as unknown as XYZ;
