import { expect, test } from 'vitest';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { reconstruction } from '../../../graphs/objectives/reconstruction.js';
import { restoration } from '../../../graphs/objectives/restoration.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import { gradientGraph } from '../../../graphs/programs/training.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { runGraph } from '../run.js';
import { expectAll } from './expect-all.js';
import { compareGradients, parameterFeeds, readGolden } from './golden.js';
import { type Config, feedsOf } from './golden-networks.js';

// A part is as good as a corrupted image: given the parts and wholes of a golden network as they are, the restoring
// network has the same loss and gradients.
test.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('the gradient of restoration agrees with PyTorch, with %s forms', async (_, forms) => {
  const golden = readGolden<Config>('network-nearest-skip');
  const { config } = golden;
  const { batch, tile, whole } = config;
  const network = {
    ...config,
    norm: { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' },
  } as const;
  const options = { batch, tile, whole, window: { low: -1000, high: 1000 }, network };
  const cutting = evaluationGraph(reconstruction(options));
  const hu = golden.tensors.get('hu')!.data as Int16Array;
  const cut = await runGraph(cutting.graph, feedsOf(config, cutting, hu));

  const { graph, parameters } = gradientGraph(restoration({ batch, whole, network }));
  const image = (name: string) => ({ ...cut[name]!, shape: [batch, ...whole] });
  const feeds = {
    corrupted: image('part'),
    target: image('whole'),
    ...parameterFeeds(parameters, graph.inputs),
  };
  const result = await runGraph(graph, feeds, forms, undefined, nodeEngine);
  expectAll(compareGradients(result, parameters, golden));
  expect(graph.inputs.map(({ name }) => name).slice(0, 2)).toEqual(['corrupted', 'target']);
});
