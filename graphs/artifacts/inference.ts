import { autoencoder, encoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { type DHW, encoderInput, type HuWindow } from '../nn/input.js';
import { NetworkBuilder } from '../nn/module.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { Graph } from '../onnx/types.js';

export interface InferenceOptions {
  readonly network: UNet3dOptions;
  readonly window: HuWindow;
  /** Voxels that were averaged into one in training; 1, 1, 1 without it. */
  readonly average?: DHW;
  /** What callers will feed: HU as they lie on disk, or as floats. */
  readonly inputType: 'int16' | 'float32';
}

const SIZES = ['N', 'D', 'H', 'W'];

/**
 * The encoder as a model of its own: `hu` [N,D,H,W] (sizes multiples of f = average · 2^levels) → `feature_map`
 * [N,C,D/f,H/f,W/f] and its average over positions, `features` [N,C].
 * @param weights trained values by parameter name
 */
export function encoderGraph(options: InferenceOptions, weights: ReadonlyMap<string, Float32Array>): Graph {
  const g = new GraphBuilder('encoder');
  const net = new NetworkBuilder(g, weights);
  const x = encoderInput(
    g,
    g.input('hu', options.inputType, SIZES),
    options.window,
    options.average ?? [1, 1, 1],
  );
  const encoded = encoder(net, x, options.network);
  g.output('feature_map', encoded.bottleneck);
  g.output('features', features(net, encoded));
  return g.build();
}

/**
 * Encoder and decoder: `hu` [N,D,H,W] → `reconstruction` [N,1,D,H,W] in [0,1], of the averaged size, and `features`
 * [N,C].
 */
export function autoencoderGraph(
  options: InferenceOptions,
  weights: ReadonlyMap<string, Float32Array>,
): Graph {
  const g = new GraphBuilder('autoencoder');
  const net = new NetworkBuilder(g, weights);
  const x = encoderInput(
    g,
    g.input('hu', options.inputType, SIZES),
    options.window,
    options.average ?? [1, 1, 1],
  );
  const { encoded, output } = autoencoder(net, x, options.network);
  g.output('reconstruction', output);
  g.output('features', features(net, encoded));
  return g.build();
}
