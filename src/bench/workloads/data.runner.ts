/** The runner that is this package: parts cut and enlarged by the training graph's own nodes. */

import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { parts2whole } from '../../../graphs/proxies/parts2whole.js';
import { type PresetName, resolveConfig } from '../../config/pretraining.js';
import { portableModel } from '../../execution/models.js';
import { nodeEngine } from '../../runtime/node.js';
import { batchFeeds, proxyOptions } from '../../train/proxy.js';
import { serveRounds } from '../runner-loop.js';
import { randomBatch, randomParts } from './random-batch.js';

const { preset, parts, threads } = JSON.parse(process.argv[2]!) as {
  preset: PresetName;
  parts: number;
  threads: number;
};
const config = resolveConfig({ preset, config: { batch: 1, microBatch: 1 } });
const g = new GraphBuilder('parts');
g.output('part', parts2whole(g, proxyOptions(config, config.whole)).part);
const model = portableModel(g.build());
const session = await nodeEngine.load(model, { threads });
const batch = randomBatch(config, 0);
let count = 0;
const [x, y, z] = config.whole;
// As in a training step, memory is taken once.
const into = {
  part: { type: 'float32', shape: [1, 1, z, y, x], data: new Float32Array(x * y * z) },
} as const;

async function cut(): Promise<void> {
  for (let i = 0; i < parts; i++)
    await session.run(batchFeeds({ ...batch, ...randomParts(config, batch.wholes, ++count) }), into);
}

await serveRounds(cut, `${nodeEngine.name}, ${nodeEngine.provider}, with the drawing of the parts`, threads);
