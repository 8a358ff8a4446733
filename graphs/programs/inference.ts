import { classifier, segmenter } from '../models/transfer.js';
import { autoencoder, encoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { type DHW, encoderInput, type HuWindow, normaliseHu } from '../nn/input.js';
import { NetworkBuilder } from '../nn/module.js';
import type { ProxyOptions } from '../objectives/reconstruction.js';
import { asFloat } from '../onnx/blocks.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { Graph, Value } from '../onnx/types.js';
import { parts2whole } from '../proxies/parts2whole.js';
import type { BuiltGraph } from './built.js';

export interface InferenceOptions {
  readonly network: UNet3dOptions;
  /** Name of the input: `hu`, or another where the values are none; `hu` without it. */
  readonly input?: string;
  /** Values that become 0 and 1. */
  readonly window: HuWindow;
  /** Voxels that were averaged into one in training; 1, 1, 1 without it. */
  readonly average?: DHW;
  /** What callers will feed: HU as they lie on disk, or as floats. */
  readonly inputType: 'int16' | 'float32';
  /** Of the input, [N,D,H,W]; any without it. */
  readonly sizes?: readonly number[];
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
    g.input(options.input ?? 'hu', options.inputType, options.sizes ?? SIZES),
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
    g.input(options.input ?? 'hu', options.inputType, SIZES),
    options.window,
    options.average ?? [1, 1, 1],
  );
  const { encoded, output } = autoencoder(net, x, options.network);
  g.output('reconstruction', output);
  g.output('features', features(net, encoded));
  return g.build();
}

/**
 * The encoder half of the proxy task: parts in, `features` [N,C] out.
 * @param weights that become part of the graph; without them they are inputs
 */
export function featureGraph(options: ProxyOptions, weights?: ReadonlyMap<string, Float32Array>): BuiltGraph {
  const g = new GraphBuilder('features');
  const net = new NetworkBuilder(g, weights ?? 'evaluation');
  const { part } = parts2whole(g, options);
  g.output('features', features(net, encoder(net, part, options.network)));
  return { graph: g.build(), parameters: net.parameters };
}

export interface TargetInferenceOptions {
  readonly kind: 'classification' | 'segmentation';
  readonly network: UNet3dOptions;
  /** Neurons between features and output of a classifier; null where there are none. */
  readonly hidden: number | null;
  readonly classes: number;
  readonly channels: number;
  readonly inputType: 'int16' | 'float32';
  /** HU that become 0 and 1; null where images were normalised before. */
  readonly window: HuWindow | null;
}

/**
 * A fine-tuned network as a model of its own: `image` [N,C,D,H,W] (sizes multiples of 2^levels) → `probabilities`, of a
 * classifier [N,classes], of a segmenter [N,classes,D,H,W]. A classifier of two classes has one output, the second's.
 */
export function targetGraph(
  options: TargetInferenceOptions,
  weights: ReadonlyMap<string, Float32Array>,
): Graph {
  const { kind, network, hidden, classes, channels, inputType, window } = options;
  const g = new GraphBuilder(kind === 'classification' ? 'classifier' : 'segmenter');
  const net = new NetworkBuilder(g, weights);
  const image = g.input('image', inputType, ['N', channels, 'D', 'H', 'W']);
  const x = window ? normaliseHu(g, image, window) : asFloat(g, image);
  const transfer = { network, frozenEncoder: false };
  const outputs = kind === 'classification' && classes === 2 ? 1 : classes;
  const logits =
    kind === 'segmentation'
      ? segmenter(net, x, { ...transfer, classes })
      : classifier(net, x, { ...transfer, hidden, outputs });
  g.output('probabilities', targetProbabilities(g, kind, logits));
  return g.build();
}

/** Probabilities of logits: [N,classes,…] of a segmenter, [N,classes] of a classifier, whose only logit is that of the second of two. */
export function targetProbabilities(
  g: GraphBuilder,
  kind: TargetInferenceOptions['kind'],
  logits: Value,
): Value {
  if (kind === 'segmentation') return g.add('Sigmoid', [logits]);
  if (logits.shape[1] !== 1) return g.add('Softmax', [logits], { axis: 1 });
  const yes = g.add('Sigmoid', [logits]);
  return g.add('Concat', [g.add('Sub', [g.scalar(1), yes]), yes], { axis: 1 });
}
