import { constantOf, type InferInput, int, ints, operator, sameType, string } from '../operator.js';
import { type Dim, formatShape, GraphError } from '../types.js';

/** Sizes of a name such as `D/4`: the name and what it is divided by. */
function parse(dim: string): [name: string, divisor: number] {
  const [name, divisor = '1'] = dim.split('/');
  return [name!, Number(divisor)];
}

/** A size after pooling by `factor`; a named size is taken to be divisible. */
export function shrink(dim: Dim, factor: number): Dim {
  if (typeof dim === 'number') return Math.floor(dim / factor);
  const [name, divisor] = parse(dim);
  return factor === 1 ? dim : `${name}/${divisor * factor}`;
}

/** A size after up-sampling by `factor`. */
export function grow(dim: Dim, factor: number): Dim {
  if (typeof dim === 'number') return dim * factor;
  const [name, divisor] = parse(dim);
  if (divisor % factor) throw new GraphError(`cannot name ${factor} × ${dim}`);
  return divisor === factor ? name : `${name}/${divisor / factor}`;
}

export interface Window {
  readonly kernel_shape: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations?: readonly number[];
}

/** All positions in a kernel, last axis fastest. */
export function tapsOf(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (taps, size) => taps.flatMap((tap) => Array.from({ length: size }, (_, k) => [...tap, k])),
    [[]],
  );
}

/** Size of a window's output along each spatial axis: floor((size + pads − dilated kernel) / stride) + 1. */
export function windowOutput(spatial: readonly Dim[], window: Window): Dim[] {
  const rank = spatial.length;
  return spatial.map((size, i) => {
    const kernel = (window.kernel_shape[i]! - 1) * (window.dilations?.[i] ?? 1) + 1;
    const stride = window.strides[i]!;
    const spare = window.pads[i]! + window.pads[i + rank]! - kernel;
    if (typeof size === 'number') return Math.floor((size + spare) / stride) + 1;
    if (spare + stride !== 0 && spare + 1 !== 0)
      throw new GraphError(`a named size ${size} needs a window that keeps or divides it`);
    return shrink(size, stride);
  });
}

const window = {
  kernel_shape: ints(),
  strides: ints(),
  pads: ints(),
};

/** Fills in what the standard leaves to the shapes: strides and dilations 1, pads 0, the kernel of the weights. */
export function resolveWindow(
  given: {
    kernel_shape?: readonly number[];
    strides?: readonly number[];
    pads?: readonly number[];
    dilations?: readonly number[];
  },
  kernel: readonly Dim[],
): Required<Window> {
  const kernel_shape = given.kernel_shape ?? (kernel as number[]);
  return {
    kernel_shape,
    strides: given.strides ?? kernel_shape.map(() => 1),
    pads: given.pads ?? [...kernel_shape, ...kernel_shape].map(() => 0),
    dilations: given.dilations ?? kernel_shape.map(() => 1),
  };
}

/** @throws GraphError unless the channels of x are those the weights expect. */
function checkChannels(x: InferInput, w: InferInput, axis: 0 | 1, group: number): void {
  const weights = w.shape[axis];
  const expected = typeof weights === 'number' && axis === 1 ? weights * group : weights;
  if (x.shape.length !== w.shape.length || x.shape[1] !== expected)
    throw new GraphError(`input ${formatShape(x.shape)} and weights ${formatShape(w.shape)} do not fit`);
}

/** @throws GraphError unless a bias, where there is one, has a value for each channel of the output. */
function checkBias(bias: InferInput | undefined, channels: Dim): void {
  if (bias?.name && (bias.shape.length !== 1 || bias.shape[0] !== channels))
    throw new GraphError(`the bias is ${formatShape(bias.shape)}, not ${formatShape([channels])}`);
}

export const spatial = {
  /** x [N,C,…], w [K,C/group,…], bias [K] → [N,K,…] */
  Conv: operator([2, 3], { ...window, dilations: ints(), group: int(1) }, (inputs, a) => {
    const [x, w] = [inputs[0]!, inputs[1]!];
    checkChannels(x, w, 1, a.group);
    checkBias(inputs[2], w.shape[0]!);
    const sizes = windowOutput(x.shape.slice(2), resolveWindow(a, w.shape.slice(2)));
    return [{ type: sameType(inputs), shape: [x.shape[0]!, w.shape[0]!, ...sizes] }];
  }),
  /** x [N,C,…], w [C,K/group,…], bias [K] → [N,K,…], size (in−1)·stride + kernel + output_padding − pads. */
  ConvTranspose: operator(
    [2, 3],
    { ...window, output_padding: ints(), dilations: ints(), group: int(1) },
    (inputs, a) => {
      const [x, w] = [inputs[0]!, inputs[1]!];
      checkChannels(x, w, 0, a.group);
      checkBias(inputs[2], grow(w.shape[1]!, a.group));
      const { kernel_shape, strides, pads, dilations } = resolveWindow(a, w.shape.slice(2));
      const rank = kernel_shape.length;
      const sizes = x.shape.slice(2).map((size, i) => {
        const kernel = (kernel_shape[i]! - 1) * dilations[i]! + 1;
        const extra = kernel + (a.output_padding?.[i] ?? 0) - pads[i]! - pads[i + rank]!;
        return typeof size === 'string' && extra === strides[i]
          ? grow(size, strides[i]!)
          : ((size as number) - 1) * strides[i]! + extra;
      });
      return [{ type: sameType(inputs), shape: [x.shape[0]!, grow(w.shape[1]!, a.group), ...sizes] }];
    },
  ),
  /** x [N,C,…] → y, and (when two outputs are asked for) flat int64 indices of the maxima in x. */
  MaxPool: operator([1, 1], { ...window, dilations: ints() }, ([x], a, outputs) => {
    const shape = [...x!.shape.slice(0, 2), ...windowOutput(x!.shape.slice(2), resolveWindow(a, []))];
    return [{ type: x!.type, shape }, ...(outputs > 1 ? [{ type: 'int64' as const, shape }] : [])];
  }),
  AveragePool: operator([1, 1], { ...window, count_include_pad: int(0) }, ([x], a) => [
    {
      type: x!.type,
      shape: [...x!.shape.slice(0, 2), ...windowOutput(x!.shape.slice(2), resolveWindow(a, []))],
    },
  ]),
  /** x [N,C,…] → [N,C,1,…] */
  GlobalAveragePool: operator([1, 1], {}, ([x]) => [
    { type: x!.type, shape: x!.shape.map((d, i) => (i < 2 ? d : 1)) },
  ]),
  /** x, (no roi), scales: one an axis, integers here. */
  Resize: operator(
    [3, 3],
    {
      mode: string('nearest'),
      coordinate_transformation_mode: string('half_pixel'),
      nearest_mode: string('round_prefer_floor'),
    },
    (inputs) => {
      const x = inputs[0]!;
      const scales = constantOf(inputs[2], 'scales');
      return [{ type: x.type, shape: x.shape.map((d, i) => grow(d, scales[i]!)) }];
    },
  ),
};
