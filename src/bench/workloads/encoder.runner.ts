/** The runners that run the exported encoder: opened by this package, or the file as it is. */
import { readFileSync } from 'node:fs';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { openEncoder } from '../../inference/encoder.js';
import { randomStream } from '../../random.js';
import { nodeEngine } from '../../runtime/node.js';
import { serveRounds } from '../runner-loop.js';
import type { EncoderJob } from './encoder.js';

const { model, batch, size, threads, plain } = JSON.parse(process.argv[2]!) as EncoderJob & {
  plain: boolean;
};
const shape = [batch, ...size];
const random = randomStream(0, 'random images');
const data = Float32Array.from({ length: sizeOf(shape) }, () => random.between(-1000, 1000));

async function asItIs() {
  const session = await nodeEngine.load(readFileSync(model), { threads });
  return () => session.run({ hu: { type: 'float32', shape, data } });
}

function opened() {
  const encoder = openEncoder(model, nodeEngine, threads);
  return () => encoder.encode(data, shape);
}

await serveRounds(
  plain ? await asItIs() : opened(),
  `${nodeEngine.name}, ${plain ? 'the file as it is' : 'fast forms'}`,
  threads,
);
