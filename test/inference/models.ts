/** Small models for tests of whole scans. */
import { writeFileSync } from 'node:fs';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { autoencoderGraph, encoderGraph, targetGraph } from '../../graphs/programs/inference.js';
import { type FinetuneConfig, resolveFinetuneConfig } from '../../src/config/finetuning.js';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import type { SampleFormat } from '../../src/data/samples/manifest.js';
import { buildGraph, portableModel } from '../../src/execution/models.js';
import { proxyWorkload } from '../../src/train/proxy.js';
import { targetWorkload } from '../../src/train/target.js';
import { initialize } from '../../src/weights/initialize.js';
import { noise } from '../graphs/run.js';

/**
 * A segmenter of two classes by thresholds: `tissue` from −300 HU and `bone` from 300. Where neighbours in a window do not
 * matter, masks are known.
 */
export function writeThresholds(path: string, metadata: Record<string, string> = {}, channels = 1): void {
  const g = new GraphBuilder('thresholds');
  const image = g.input('image', 'float32', ['N', channels, 'D', 'H', 'W']);
  const first = channels === 1 ? image : g.add('ReduceMean', [image, g.integers([1])], { keepdims: 1 });
  const above = (hu: number) =>
    g.add('Sigmoid', [g.add('Mul', [g.add('Sub', [first, g.scalar(hu - 0.5)]), g.scalar(20)])]);
  const tissue = g.add('Mul', [above(-300), g.scalar(0.9)]);
  g.output('probabilities', g.add('Concat', [tissue, above(300)], { axis: 1 }));
  const own = { classes: '["tissue","bone"]', normalise: 'hu', sample_size: '16x16x8', ...metadata };
  writeFileSync(path, portableModel(g.build(), { documentation: 'a test', metadata: own }));
}

/** The mask of {@link writeThresholds}. */
export const thresholds = (hu: ArrayLike<number>): Uint8Array =>
  Uint8Array.from(hu, (value) => (value >= 300 ? 2 : value >= -300 ? 1 : 0));

/** Random weights, with statistics and biases that are not their first values. */
function randomWeights(parameters: Parameters<typeof initialize>[0]): Map<string, Float32Array> {
  const weights = initialize(parameters, 3);
  for (const [name, values] of weights)
    if (name.includes('norm') || name.endsWith('bias'))
      weights.set(name, noise(values.length, name.length, 0.5, 1));
  return weights;
}

const SMALL = ['network.levels=2', 'network.width=4', 'whole=16x16x8'];

/** An encoder or autoencoder with random weights, as pre-training would export it: for tiles of 16×16×8 voxels, unless told otherwise. */
export function writePretrained(
  path: string,
  what: 'encoder' | 'autoencoder',
  metadata: Record<string, string> = {},
  average: readonly [number, number, number] = [1, 1, 1],
  config: Config = resolveConfig({ preset: 'tiny', config: fromSettings(SMALL, {}) }),
): void {
  const weights = randomWeights(
    buildGraph('evaluation', proxyWorkload(config, config.whole), config).parameters,
  );
  const { network, window } = config;
  const options = { network, window, inputType: 'int16' } as const;
  const build = what === 'encoder' ? encoderGraph : autoencoderGraph;
  const own = {
    ...{
      normalise: 'hu',
      window: JSON.stringify(window),
      tile_size: average.map((f, i) => f * config.whole[i]!).join('x'),
    },
    ...{
      size_multiple: average.map((f) => f * 2 ** network.levels).join('x'),
      average: average.join('x'),
      proxy: 'genesis',
    },
    ...metadata,
  };
  writeFileSync(
    path,
    portableModel(build({ ...options, average: [average[2], average[1], average[0]] }, weights), {
      documentation: 'a test',
      metadata: own,
    }),
  );
}

/** A network with random weights, as fine-tuning would export it. */
export function writeTarget(
  path: string,
  kind: FinetuneConfig['kind'],
  classes: readonly string[],
  metadata: Record<string, string> = {},
): void {
  const settings = fromSettings(['network.levels=2', 'network.width=4', 'hidden=null', 'batch=2'], {});
  const config = resolveFinetuneConfig({ kind, config: settings });
  const format: SampleFormat = {
    ...{ task: 'manifest', kind, classes: [...classes], size: [16, 16, 8], channels: 1, type: 'int16' },
    window: { low: -1000, high: 1000 },
  };
  const { parameters } = buildGraph('evaluation', targetWorkload(config, format, null), config);
  const weights = randomWeights(parameters);
  const { network, hidden } = config;
  const { channels, window } = format;
  const shape = { kind, network, hidden, classes: classes.length, channels, window };
  const own = {
    ...{ classes: JSON.stringify(classes), normalise: 'hu', sample_size: '16x16x8', size_multiple: '4x4x4' },
    ...metadata,
  };
  writeFileSync(
    path,
    portableModel(targetGraph({ ...shape, inputType: 'int16' }, weights), {
      documentation: 'a test',
      metadata: own,
    }),
  );
}
