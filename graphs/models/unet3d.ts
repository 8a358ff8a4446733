import { convNormRelu, deconvolution, maxPool, type NormOptions, pointwise } from '../nn/layers.js';
import type { NetworkBuilder } from '../nn/module.js';
import { type Dim, formatShape, GraphError, type Value } from '../onnx/types.js';

export interface UNet3dOptions {
  /** Channels of the first convolution; every block doubles them. The paper's network has 32. */
  readonly width: number;
  /** Number of poolings. The paper's network has 3. */
  readonly levels: number;
  /** Skip connections from encoder to decoder; the proxy task does without. */
  readonly skip: boolean;
  readonly upsampling: 'nearest' | 'deconv';
  readonly norm: NormOptions;
}

/** What the encoder leaves for the decoder. */
export interface Encoded {
  /** [N, width·2^(levels+1), D/2^levels, …], after ReLU. */
  readonly bottleneck: Value;
  /** Feature maps before each pooling, fine to coarse. */
  readonly skips: readonly Value[];
}

/** Channels of the bottleneck, which is the length of a feature vector. */
export const featureChannels = ({ width, levels }: Pick<UNet3dOptions, 'width' | 'levels'>): number =>
  width * 2 ** (levels + 1);

/** x [N,C,D,H,W]: two convolutions a block, a max-pool between blocks. Names start with `encoder.<level>`. */
export function encoder(net: NetworkBuilder, x: Value, { width, levels, norm }: UNet3dOptions): Encoded {
  const factor = 2 ** levels;
  const fits = (d: Dim) => typeof d === 'string' || (d > 0 && d % factor === 0);
  if (x.shape.length !== 5 || !x.shape.slice(2).every(fits))
    throw new GraphError(
      `${levels} poolings need sizes that are multiples of ${factor}, got ${formatShape(x.shape)}`,
    );
  const skips: Value[] = [];
  let y = x;
  for (let level = 0; level <= levels; level++) {
    const channels = width * 2 ** level;
    const path = `encoder.${level}`;
    y = convNormRelu(net, path, 1, y, { channels, norm });
    y = convNormRelu(net, path, 2, y, { channels: 2 * channels, norm });
    if (level < levels) {
      skips.push(y);
      y = maxPool(net, y);
    }
  }
  return { bottleneck: y, skips };
}

/**
 * Doubles the size level by level: up-sampling, skip (behind the up-sampled channels), two convolutions.
 * Names start with `decoder.<level>`. Returns [N, 2·width, D, H, W].
 */
export function decoder(net: NetworkBuilder, { bottleneck, skips }: Encoded, options: UNet3dOptions): Value {
  const { width, levels, norm } = options;
  let y = bottleneck;
  for (let level = levels - 1; level >= 0; level--) {
    const channels = width * 2 ** (level + 1);
    const path = `decoder.${level}`;
    const upsample = options.upsampling === 'nearest';
    const larger = upsample ? y : deconvolution(net, `${path}.up`, y);
    const skip = options.skip ? skips[level] : undefined;
    y = convNormRelu(net, path, 1, larger, { channels, norm, upsample, skip });
    y = convNormRelu(net, path, 2, y, { channels, norm });
  }
  return y;
}

/** What the decoder makes of it, mixed to so many channels: [N,channels,D,H,W], before any sigmoid. Named `head`. */
export const decoded = (
  net: NetworkBuilder,
  encoded: Encoded,
  options: UNet3dOptions,
  channels: number,
): Value => pointwise(net, 'head', decoder(net, encoded, options), channels);

/** The whole network, with a sigmoid head of one channel: x [N,1,D,H,W] → reconstruction of the same shape in (0,1). */
export function autoencoder(
  net: NetworkBuilder,
  x: Value,
  options: UNet3dOptions,
): { encoded: Encoded; output: Value } {
  const encoded = encoder(net, x, options);
  return { encoded, output: net.g.add('Sigmoid', [decoded(net, encoded, options, 1)]) };
}

/** One vector an image: the bottleneck averaged over all positions, [N, channels]. */
export function features(net: NetworkBuilder, { bottleneck }: Encoded): Value {
  const pooled = net.g.add('GlobalAveragePool', [bottleneck]);
  return net.g.add('Squeeze', [pooled, net.g.integers([2, 3, 4])]);
}
