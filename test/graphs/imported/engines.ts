/**
 * Makes a few steps of networks that `golden/make_networks.py` exported, in training mode, on onnxruntime-node, on WebAssembly and on
 * WebGPU, and prints the losses and how far apart they are. Run by hand, where Chromium is installed:
 * npx tsx test/graphs/imported/engines.ts FOLDER NETWORK…
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { findBrowser } from '../../../src/bench/engines/browser.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { wasmEngine } from '../../../src/runtime/web-node.js';
import { lossesInChromium } from '../../browser/losses-in-chromium.js';
import { modelLosses, type Steps } from '../../browser/model-losses.js';
import { trainingCase } from './compare.js';

/** As small as fine-tuning takes it. */
const RATE = 1e-4;
const MOST_SECONDS = 3600;

const [root, ...networks] = process.argv.slice(2);
const browser = findBrowser();
if (!root || networks.length === 0)
  throw new Error('say which folder golden/make_networks.py has written, and which networks');
if (!browser) throw new Error('there is no Chromium');

const stepsOf = (network: string): Steps => {
  const { model, results } = trainingCase(join(root, network));
  const tensors = decodeModel(readFileSync(results)).graph.initializers;
  return {
    model: readFileSync(model),
    rate: RATE,
    batch: { x: tensors.get('x')!, target: tensors.get('target')! },
  };
};

for (const network of networks) {
  const steps = stepsOf(network);
  const native = await modelLosses(nodeEngine, steps);
  const others = {
    WebAssembly: await modelLosses(wasmEngine('onnxruntime-web'), steps),
    WebGPU: (await lossesInChromium(browser, [steps], MOST_SECONDS))[0]!,
  };
  console.log(`${network}: ${native.join(', ')}`);
  for (const [engine, losses] of Object.entries(others)) {
    const error = Math.max(...losses.map((loss, i) => Math.abs(loss / native[i]! - 1)));
    console.log(`  ${engine}: ${losses.join(', ')}; at most ${error.toExponential(1)} of them apart`);
  }
}
