import { describe, expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { classifierHead } from '../../../graphs/models/transfer.js';
import { autoencoder, encoder, features } from '../../../graphs/models/unet3d.js';
import { crossEntropy, meanSquaredError, oneHot } from '../../../graphs/nn/losses.js';
import { NetworkBuilder } from '../../../graphs/nn/module.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { wasmEngine } from '../../../src/runtime/web-node.js';
import { build, cases, feedsOf } from '../autodiff/cases.js';
import { noise, relativeError } from '../run.js';
import { ORACLE_RULES } from './ort-gradients.js';
import { gradientsOfBoth, run } from './run-oracle.js';

const engine = wasmEngine('onnxruntime-training-web');
const NORM = { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } as const;
const network = (change: object) =>
  ({ width: 2, levels: 2, skip: false, upsampling: 'nearest', norm: NORM, ...change }) as const;

/** Convolutions in groups are left to PyTorch: ONNX Runtime's ConvGrad does not come back from some of them. */
const checked = cases
  .map((golden, i) => [`${i} ${golden.operator}`, golden] as const)
  .filter(([, { operator, before, dys }]) => operator in ORACLE_RULES && !before && dys.length === 1)
  .filter(([, { attributes }]) => (attributes.group ?? 1) === 1);

test.each(checked)('%s: our rule and ONNX Runtime’s kernel give the same gradient', async (_, golden) => {
  const forward = () => {
    const { g, floats, loss } = build(golden);
    return { g, loss, sources: floats };
  };
  const both = await gradientsOfBoth(forward, feedsOf(golden), engine);
  expect(both.size).toBeGreaterThan(0);
  for (const { ours, oracle } of both.values()) expect(relativeError(ours, oracle)).toBeLessThan(1e-6);
});

test('the kernels check every rule that the network and its losses need', () => {
  const names = new Set(checked.map(([, { operator }]) => operator));
  for (const name of [
    'Conv',
    'ConvTranspose',
    'UpsampleConv',
    'MaxPool',
    'BatchNorm',
    'Relu',
    'Sigmoid',
    'LogSoftmax',
    'Gemm',
  ])
    expect(names).toContain(name);
});

test('cross-entropy has the gradient of ONNX Runtime’s SoftmaxCrossEntropyLossGrad', async () => {
  const g = new GraphBuilder('loss');
  const logits = g.input('logits', 'float32', [4, 3]);
  const classes = oneHot(g, g.input('label', 'int32', [4]), 3);
  const loss = g.mean(crossEntropy(g, logits, classes), [0], 0);
  g.output('gradient', backward(g, loss, [logits])[0]!);
  const lowered = lower(g.build(), { choose: plainForms });
  const float = (name: string, shape: readonly number[]) => ({ name, type: 'float32' as const, shape });
  const node = (operator: string, inputs: string[], outputs: string[], domain = '') => ({
    ...{ name: operator, operator, domain, inputs, outputs },
    attributes: { reduction: { kind: 'string', value: 'mean' } } as const,
  });
  const oracle = {
    ...lowered,
    inputs: [...lowered.inputs, float('one', []), { name: 'classes', type: 'int64' as const, shape: [4] }],
    nodes: [
      ...lowered.nodes,
      node('SoftmaxCrossEntropyLoss', ['logits', 'classes'], ['value', 'likelihood']),
      node('SoftmaxCrossEntropyLossGrad', ['one', 'likelihood', 'classes'], ['oracle'], 'com.microsoft'),
    ],
    outputs: [...lowered.outputs, float('oracle', [4, 3])],
  };
  const feeds = {
    logits: { ...float('logits', [4, 3]), data: noise(12, 7, 3) },
    label: { type: 'int32', shape: [4], data: Int32Array.of(2, 0, 1, 1) },
    classes: { type: 'int64', shape: [4], data: BigInt64Array.of(2n, 0n, 1n, 1n) },
    one: { type: 'float32', shape: [], data: Float32Array.of(1) },
  } as const;
  const result = await run(oracle, feeds, engine);
  expect(
    relativeError(result.gradient!.data as Float32Array, result.oracle!.data as Float32Array),
  ).toBeLessThan(1e-6);
});

/** A network's inputs and its parameters, drawn. */
function feedsOfNetwork(g: GraphBuilder): Record<string, EngineTensor> {
  return Object.fromEntries(
    g.build().inputs.map(({ name, type, shape }, i) => {
      const size = shape as number[];
      const isScale = /norm\d\.weight$/.test(name);
      const data =
        type === 'int32'
          ? Int32Array.from({ length: sizeOf(size) }, (_, at) => at % 3)
          : noise(sizeOf(size), 900 + i, 0.4, isScale ? 1 : 0);
      return [name, { type, shape: size, data }];
    }),
  );
}

/** A network with a loss, in its parts. */
type LossOf = (net: NetworkBuilder) => ReturnType<GraphBuilder['add']>;

const image = (net: NetworkBuilder, size: number) => net.g.input('image', 'float32', [4, 1, size, 8, 8]);
const restores =
  (change: object): LossOf =>
  (net) =>
    meanSquaredError(
      net.g,
      autoencoder(net, image(net, 8), network(change)).output,
      net.g.input('target', 'float32', [4, 1, 8, 8, 8]),
    );
const encoded = (net: NetworkBuilder) => features(net, encoder(net, image(net, 8), network({})));

describe('whole networks have the same gradient by our rules and by ONNX Runtime’s kernels', () => {
  const networks: readonly (readonly [string, LossOf])[] = [
    ['Parts2Whole', restores({})],
    ['with skip connections', restores({ skip: true })],
    ['with transposed convolutions', restores({ upsampling: 'deconv' })],
    [
      'a classifier',
      (net) => {
        const logits = classifierHead(net, encoded(net), { hidden: 5, outputs: 3 });
        const classes = oneHot(net.g, net.g.input('label', 'int32', [4]), 3);
        return net.g.mean(crossEntropy(net.g, logits, classes), [0], 0);
      },
    ],
  ];
  test.each(networks)('%s', async (_, lossOf) => {
    const forward = () => {
      const g = new GraphBuilder('network');
      const net = new NetworkBuilder(g, 'training');
      const loss = lossOf(net);
      g.output('loss', loss);
      const sources = net.parameters.filter((p) => p.trainable).map((p) => net.values.get(p.name)!);
      return { g, loss, sources };
    };
    const both = await gradientsOfBoth(forward, feedsOfNetwork(forward().g), engine);
    expect(both.size).toBeGreaterThan(8);
    const largest = Math.max(...[...both.values()].flatMap(({ oracle }) => [...oracle].map(Math.abs)));
    for (const [name, { ours, oracle }] of both) {
      const error = Math.max(...ours.map((value, i) => Math.abs(value - oracle[i]!)));
      expect(error / largest, name).toBeLessThan(1e-6);
    }
  });
});
