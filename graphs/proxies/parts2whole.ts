import { averageBlocks, type DHW, type HuWindow, normaliseHu } from '../nn/input.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { type Dim, GraphError, knownShape, type Value } from '../onnx/types.js';
import type { Sample } from './sample.js';

export interface Parts2WholeOptions {
  readonly batch: number;
  /** Size of the stored tiles. */
  readonly tile: DHW;
  /** Size of wholes and resized parts; the tile is an integer multiple of it along every axis. */
  readonly whole: DHW;
  readonly window: HuWindow;
  /** Size of the box of a tile that holds its part: the smaller, the less there is to compute. The tile's without it. */
  readonly box?: DHW;
  /** Intensities of the parts are changed, by an input of the graph. */
  readonly intensity?: boolean;
}

/**
 * Parts2Whole's task: a part of a whole, resized to the whole's size, goes in; the whole is to come out.
 *
 * Trilinear interpolation is separable, so the part is a box of the tile times one small matrix an axis. Inputs of the
 * graph: `tile` int16 [N,D₀,H₀,W₀] in HU, `part_box` int16 [N,D₁,H₁,W₁], `part_depth` [N,D,D₁], `part_height` [N,H,H₁],
 * `part_width` [N,W₁,W]. With `intensity` also `part_intensity` [N,3]: the part x becomes
 * clip(gain · x^gamma + shift, 0, 1), the three in this order: gamma, gain, shift.
 */
export function parts2whole(g: GraphBuilder, options: Parts2WholeOptions): Sample {
  const {
    batch: n,
    tile,
    whole: [depth, height, width],
    box = tile,
  } = options;
  const [boxDepth, boxHeight, boxWidth] = box;
  const hu = g.input('tile', 'int16', [n, ...tile]);
  const byDepth = g.input('part_depth', g.float, [n, depth, boxDepth]);
  const byHeight = g.input('part_height', g.float, [n, height, boxHeight]);
  const byWidth = g.input('part_width', g.float, [n, boxWidth, width]);
  const around = g.input('part_box', 'int16', [n, ...box]);

  return g.scope('parts2whole', () => {
    const unit = normaliseHu(g, around, options.window);
    const narrow = g.add('MatMul', [unit, g.reshape(byWidth, [n, 1, boxWidth, width])]);
    const low = g.add('MatMul', [g.reshape(byHeight, [n, 1, height, boxHeight]), narrow]);
    const short = g.add('MatMul', [byDepth, g.reshape(low, [n, boxDepth, height * width])]);
    const part = g.reshape(short, [n, 1, depth, height, width]);
    return {
      part: options.intensity ? changeIntensity(g, part, n) : part,
      whole: averaged(g, g.reshape(normaliseHu(g, hu, options.window), [n, 1, ...tile]), options.whole),
    };
  });
}

/** Each sample's gamma, gain and shift, of the input `part_intensity`, applied to it. */
function changeIntensity(g: GraphBuilder, part: Value, n: number): Value {
  const changes = g.input('part_intensity', g.float, [n, 3]);
  const column = (i: number) => {
    const one = g.add('Slice', [
      changes,
      g.integers([i]),
      g.integers([i + 1]),
      g.integers([1]),
      g.integers([1]),
    ]);
    return g.reshape(one, [n, 1, 1, 1, 1]);
  };
  const curved = g.add('Pow', [part, column(0)]);
  const scaled = g.add('Add', [g.add('Mul', [curved, column(1)]), column(2)]);
  return g.add('Clip', [scaled, g.scalar(0), g.scalar(1)]);
}

/** x [N,1,D₀,H₀,W₀] averaged over blocks to the given size. @throws GraphError when it is no whole fraction. */
function averaged(g: GraphBuilder, x: Value, size: DHW): Value {
  const from = knownShape(x.shape.slice(2) as readonly Dim[], 'a tile');
  const factors = size.map((s, i) => from[i]! / s) as unknown as DHW;
  if (factors.some((f) => !Number.isInteger(f) || f < 1))
    throw new GraphError(
      `tiles of ${from.toReversed().join('×')} are not an integer multiple of wholes of ${size.toReversed().join('×')} voxels (x×y×z)`,
    );
  return averageBlocks(g, x, factors);
}
