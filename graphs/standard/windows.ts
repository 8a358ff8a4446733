import { resolveWindow, tapsOf, type Window } from '../onnx/ops/spatial.js';
import { range } from '../onnx/range.js';
import { type FloatType, GraphError, knownShape, sizeOf, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** How a window moves over x, with `auto_pad` as pads. */
function windowOf(n: StandardNode, kernel: readonly number[] = []): Required<Window> {
  const given = (name: keyof Window) => {
    const values = n.ints(name);
    return values ? { [name]: values } : {};
  };
  const window = resolveWindow(
    { ...given('kernel_shape'), ...given('strides'), ...given('dilations'), ...given('pads') },
    kernel,
  );
  const auto = n.string('auto_pad', 'NOTSET');
  if (!auto.startsWith('SAME')) return window;
  const reach = reachOf(window);
  const spare = n
    .shape(0)
    .slice(2)
    .map((size, i) => {
      const stride = window.strides[i]!;
      return Math.max((Math.ceil(size / stride) - 1) * stride + reach[i]! - size, 0);
    });
  return { ...window, pads: sides(spare, auto) };
}

/** How many values lie between a window's ends. */
const reachOf = ({ kernel_shape, dilations }: Required<Window>): number[] =>
  kernel_shape.map((k, i) => (k - 1) * dilations[i]! + 1);

/** The same with `ceil_mode` as pads at the end, which are in no count. */
function withLastWindow(n: StandardNode, window: Required<Window>): Required<Window> {
  if (n.int('ceil_mode', 0) === 0) return window;
  const rank = window.kernel_shape.length;
  const reach = reachOf(window);
  const pads = [...window.pads];
  for (const [i, size] of n.shape(0).slice(2).entries()) {
    const stride = window.strides[i]!;
    const rest = size + pads[i]! + pads[i + rank]! - reach[i]!;
    const windows = Math.ceil(rest / stride) + 1;
    // A window must begin inside of x or in the padding before it.
    const last = (windows - 1) * stride >= size + pads[i]! ? windows - 2 : windows - 1;
    pads[i + rank]! += Math.max(last * stride - rest, 0);
  }
  return { ...window, pads };
}

/** Both halves of what is padded in all; what is odd goes to the end or, for SAME_LOWER, to the beginning. */
function sides(total: readonly number[], auto: string): number[] {
  const small = total.map((t) => Math.floor(t / 2));
  const large = total.map((t, i) => t - small[i]!);
  return auto === 'SAME_LOWER' ? [...large, ...small] : [...small, ...large];
}

/** Sums over windows of x [N,C,…], each channel by itself. */
function windowSums(n: StandardNode, x: Value, window: Required<Window>): Value {
  const [batch, channels, ...sizes] = knownShape(x.shape, 'a pool') as [number, number, ...number[]];
  const ones = n.g.full(1, [1, 1, ...window.kernel_shape], x.type);
  const planes = n.g.reshape(x, [batch * channels, 1, ...sizes]);
  const sums = n.g.add('Conv', [planes, ones], window);
  return n.g.reshape(sums, [batch, channels, ...knownShape(sums.shape, 'a pool').slice(2)]);
}

function averagePool(n: StandardNode): Value {
  const own = windowOf(n);
  const window = withLastWindow(n, own);
  const x = n.input(0);
  const rank = own.kernel_shape.length;
  const countPad = n.int('count_include_pad', 0) === 1;
  const { dilations, ...plain } = window;
  if (dilations.every((d) => d === 1) && !(countPad && window !== own))
    return n.g.add('AveragePool', [x], { ...plain, count_include_pad: Number(countPad) });
  // How many values lie under each window: those of x, and of its padding where that counts.
  const reach = reachOf(window);
  const counts = n
    .shape(0)
    .slice(2)
    .map((size, i) => {
      const [begin, end] = [own.pads[i]!, own.pads[i + rank]!];
      const [low, high] = countPad ? [-begin, size + end] : [0, size];
      const stride = window.strides[i]!;
      const windows = Math.floor((size + begin + window.pads[i + rank]! - reach[i]!) / stride) + 1;
      const places = range(own.kernel_shape[i]!).map((t) => t * dilations[i]! - begin);
      return range(windows).map(
        (o) => places.filter((place) => o * stride + place >= low && o * stride + place < high).length,
      );
    });
  return counts.reduce(
    (mean, count, axis) => {
      const shape = counts.map((_, i) => (i === axis ? count.length : 1));
      return n.f.div(mean, n.g.floats(count, [1, 1, ...shape], x.type as FloatType));
    },
    windowSums(n, x, window),
  );
}

function maxPool(n: StandardNode): readonly Value[] {
  if (n.int('storage_order', 0) === 1 && n.outputs > 1)
    throw new GraphError('indices are supported in row-major order only, not with storage_order 1');
  return n.g.addMany('MaxPool', [n.input(0)], withLastWindow(n, windowOf(n)), n.outputs);
}

/** The greatest value of each channel. Of equal ones the first receives the gradient, as in `MaxPool`; of `ReduceMax`, they share it. */
function globalMaxPool(n: StandardNode): Value {
  const [batch, channels, ...sizes] = n.shape(0) as [number, number, ...number[]];
  if (sizes.includes(0)) throw new GraphError('there is no greatest value of an empty map');
  const flat = n.g.reshape(n.input(0), [batch, channels, sizeOf(sizes)]);
  const [greatest] = n.g.addMany('TopK', [flat, n.g.integers([1])], {}, 2);
  return n.g.reshape(greatest!, [batch, channels, ...sizes.map(() => 1)]);
}

/** A transposed convolution, with pads from its output shape where that is given. */
function convTranspose(n: StandardNode): Value {
  const sizes = n.shape(0).slice(2);
  const kernel_shape = n.shape(1).slice(2);
  const none = kernel_shape.map(() => 0);
  const strides = n.ints('strides') ?? kernel_shape.map(() => 1);
  const dilations = n.ints('dilations') ?? kernel_shape.map(() => 1);
  const extra = n.ints('output_padding') ?? none;
  const reach = reachOf({ kernel_shape, strides, dilations, pads: [] });
  const full = sizes.map((size, i) => (size - 1) * strides[i]! + reach[i]! + extra[i]!);
  const auto = n.string('auto_pad', 'NOTSET');
  const same = auto.startsWith('SAME') ? sizes.map((size, i) => size * strides[i]!) : undefined;
  const wanted = n.ints('output_shape')?.slice(-sizes.length) ?? same;
  // What is missing is added at the end, what is too much cut off at both sides.
  const missing = wanted ? wanted.map((size, i) => size - full[i]!) : none;
  const surplus = missing.map((m) => Math.max(-m, 0));
  const pads = wanted
    ? sides(surplus, auto === 'SAME_UPPER' ? auto : 'SAME_LOWER')
    : (n.ints('pads') ?? [...none, ...none]);
  const output_padding = extra.map((p, i) => p + Math.max(missing[i]!, 0));
  return n.g.add('ConvTranspose', [n.input(0), n.input(1), n.optional(2)], {
    ...{ kernel_shape, strides, dilations, pads, output_padding },
    group: n.int('group', 1),
  });
}

/** Windows of fewer values are as fast as a convolution. */
const FEW_TAPS = 8;

/** A convolution whose windows lie side by side and fill x, as those that cut an image into patches. */
function isPatches(n: StandardNode): boolean {
  const { kernel_shape, strides, pads, dilations } = windowOf(n, n.shape(1).slice(2));
  return (
    n.int('group', 1) === 1 &&
    sizeOf(kernel_shape) > FEW_TAPS &&
    pads.every((p) => p === 0) &&
    dilations.every((d) => d === 1) &&
    kernel_shape.every((k, i) => k === strides[i] && n.shape(0)[i + 2]! % k === 0)
  );
}

/** Each patch as a row, times the kernels: one product, and one in each of its gradients. */
function patches(n: StandardNode): Value {
  const { g } = n;
  const [batch, channels, ...sizes] = n.shape(0) as [number, number, ...number[]];
  const [outputs, , ...kernel] = n.shape(1) as [number, number, ...number[]];
  const counts = sizes.map((size, i) => size / kernel[i]!);
  const split = g.reshape(n.input(0), [batch, channels, ...counts.flatMap((c, i) => [c, kernel[i]!])]);
  const axes = range(sizes.length);
  const byPatch = g.transpose(split, [0, ...axes.map((i) => 2 + 2 * i), 1, ...axes.map((i) => 3 + 2 * i)]);
  const values = channels * sizeOf(kernel);
  const operands = [
    g.reshape(byPatch, [-1, values]),
    g.reshape(n.input(1), [outputs, values]),
    n.optional(2),
  ];
  const rows = g.add('Gemm', operands, { transB: 1 });
  return g.transpose(g.reshape(rows, [batch, ...counts, outputs]), [
    0,
    sizes.length + 1,
    ...axes.map((i) => i + 1),
  ]);
}

const spatialAxes = (n: StandardNode) => range(n.shape(0).length).slice(2);
/** (Σ |x|^p)^(1/p) over windows, or over all of an axis. */
const norm = (n: StandardNode, sum: (powers: Value) => Value): Value => {
  const p = n.int('p', 2);
  return n.f.root(sum(n.f.pow(n.f.abs(n.input(0)), p)), p);
};
export const windows: Translations = {
  CausalConvWithState: (n) => {
    const { f, g } = n;
    const [batch, channels] = n.shape(0) as [number, number];
    const kernel = n.shape(1)[2]!;
    const state = () => g.full(0, [batch, channels, kernel - 1], n.input(0).type);
    const x =
      kernel === 1 ? n.input(0) : g.add('Concat', [n.optional(3) ?? state(), n.input(0)], { axis: 2 });
    const sums = g.add('Conv', [x, n.input(1), n.optional(2)], { kernel_shape: [kernel], group: channels });
    const length = x.shape[2] as number;
    const y = n.string('activation', 'none') === 'none' ? sums : f.mul(sums, f.sigmoid(sums));
    return [y, g.slice(x, [length - kernel + 1], [length], [2])];
  },
  Conv: (n) => {
    if (isPatches(n)) return patches(n);
    const attributes = { ...windowOf(n, n.shape(1).slice(2)), group: n.int('group', 1) };
    return n.g.add('Conv', [n.input(0), n.input(1), n.optional(2)], attributes);
  },
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  LpPool: (n) => norm(n, (powers) => windowSums(n, powers, withLastWindow(n, windowOf(n)))),
  GlobalAveragePool: (n) => n.g.add('GlobalAveragePool', [n.input(0)]),
  GlobalMaxPool: globalMaxPool,
  GlobalLpPool: (n) => norm(n, (powers) => n.g.sum(powers, spatialAxes(n))),
  MaxUnpool: (n) => {
    const [batch, channels] = n.shape(0) as [number, number];
    const window = windowOf(n);
    const rank = window.kernel_shape.length;
    const own = n
      .shape(0)
      .slice(2)
      .map(
        (size, i) =>
          (size - 1) * window.strides[i]! +
          window.kernel_shape[i]! -
          window.pads[i]! -
          window.pads[i + rank]!,
      );
    // Indices count in the shape that the windows give; a larger output has zeros at its ends.
    const missing =
      n
        .constants(2)
        ?.slice(2)
        .map((size, i) => size - own[i]!) ?? own.map(() => 0);
    const { g } = n;
    const total = batch * channels * sizeOf(own);
    const zeros = g.full(0, [total], n.input(0).type);
    const flat = [g.reshape(n.input(1), [-1]), g.reshape(n.input(0), [-1])];
    const unpooled = g.reshape(g.add('ScatterElements', [zeros, ...flat]), [batch, channels, ...own]);
    const pads = [...unpooled.shape.map(() => 0), 0, 0, ...missing];
    return missing.some((m) => m > 0) ? g.add('Pad', [unpooled, g.integers(pads)]) : unpooled;
  },
  Col2Im: (n) => {
    const image = n.numbers(1);
    const kernel = n.numbers(2);
    const window = windowOf(n, kernel);
    const [batch, columns] = n.shape(0) as [number, number];
    const channels = columns / sizeOf(kernel);
    const rank = kernel.length;
    const reach = reachOf(window);
    const blocks = image.map((size, i) => {
      const padded = size + window.pads[i]! + window.pads[i + rank]!;
      return Math.floor((padded - reach[i]!) / window.strides[i]!) + 1;
    });
    // Where each value of a column lies in the padded image.
    const padded = image.map((size, i) => size + window.pads[i]! + window.pads[i + rank]!);
    const places = tapsOf(kernel).flatMap((tap) =>
      tapsOf(blocks).map((block) =>
        padded.reduce(
          (place, size, i) => place * size + block[i]! * window.strides[i]! + tap[i]! * window.dilations[i]!,
          0,
        ),
      ),
    );
    const { g } = n;
    const rows = batch * channels;
    const zeros = g.full(0, [rows, sizeOf(padded)], n.input(0).type);
    const indices = g.add('Expand', [g.integers(places), g.integers([rows, places.length])]);
    const sums = g.add('ScatterElements', [zeros, indices, g.reshape(n.input(0), [rows, places.length])], {
      axis: 1,
      reduction: 'add',
    });
    const begin = image.map((_, i) => window.pads[i]!);
    return g.slice(
      g.reshape(sums, [batch, channels, ...padded]),
      begin,
      begin.map((p, i) => p + image[i]!),
      image.map((_, i) => i + 2),
    );
  },
};
