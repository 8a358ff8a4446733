import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { fastForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { executionOrder, peakBytes } from '../../../graphs/onnx/peak.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { arrayOf, type Graph, sizeOf } from '../../../graphs/onnx/types.js';
import { planOf, savings } from '../../../graphs/programs/recompute.js';
import { resolveConfig } from '../../../src/config/pretraining.js';
import { blockedLayout } from '../../../src/execution/blocked-layout.js';
import { buildGraph } from '../../../src/execution/models.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { proxyWorkload } from '../../../src/train/proxy.js';
import { temporaryFolder } from '../../data/store/tiles-sample.js';

/** The nodes of a graph in the order in which ONNX Runtime has run them, by its profile. */
async function orderOfRun(graph: Graph): Promise<string[]> {
  const folder = temporaryFolder();
  const session = await ort.InferenceSession.create(encodeModel(toModel(graph)), {
    enableProfiling: true,
    profileFilePrefix: join(folder, 'profile'),
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  const feeds = graph.inputs.map(({ name, type, shape }) => {
    const data = new (arrayOf(type))(sizeOf(shape as number[]));
    return [name, new ort.Tensor(type as 'float32', data as Float32Array, shape as number[])];
  });
  await session.run(Object.fromEntries(feeds));
  session.endProfiling();
  await session.release();
  const [file] = readdirSync(folder);
  const events = JSON.parse(readFileSync(join(folder, file!), 'utf8')) as { cat: string; name: string }[];
  const ran = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'));
  return ran.map(({ name }) => name.replace('_kernel_time', ''));
}

describe('the order of nodes', () => {
  test.each([
    ['everything is kept', false],
    ['much is recomputed', true],
  ])('is that in which ONNX Runtime runs a training step where %s', async (_name, isRecomputed) => {
    const config = resolveConfig({
      preset: 'tiny',
      config: { whole: [16, 16, 8], batch: 2, network: { width: 16, levels: 1, skip: true }, clipNorm: 1 },
    });
    const build = (recompute: typeof config.recompute) =>
      buildGraph('step', proxyWorkload(config, config.whole), { ...config, recompute }).graph;
    const graph = build(isRecomputed ? planOf(savings(build({}))) : {});
    const lowered = lower(graph, { choose: fastForms, blocked: await blockedLayout(nodeEngine) });
    expect(await orderOfRun(lowered)).toEqual(executionOrder(lowered).map(({ name }) => name));
  });
});

describe('the peak of memory', () => {
  const SIZE = 100;
  const peakOf = (build: (g: GraphBuilder) => void) => {
    const g = new GraphBuilder('peak');
    build(g);
    return peakBytes(g.build()) / (4 * SIZE);
  };
  const input = (g: GraphBuilder) => g.input('x', 'float32', [SIZE]);
  const twice = (g: GraphBuilder, x: ReturnType<typeof input>) => g.add('Mul', [x, g.scalar(2)]);

  // An output is a copy of the value that it is made of.
  test('counts values from their operator until their last use, without inputs and outputs', () => {
    expect(peakOf((g) => g.output('y', twice(g, input(g))))).toBe(1);
    expect(peakOf((g) => g.output('y', twice(g, twice(g, input(g)))))).toBe(2);
    expect(peakOf((g) => g.output('y', twice(g, twice(g, twice(g, twice(g, input(g)))))))).toBe(2);
  });

  test('counts neither views nor what is written over its operand, unless that is still read', () => {
    const over = (g: GraphBuilder) => g.output('y', g.add('Relu', [g.reshape(twice(g, input(g)), [SIZE])]));
    expect(peakOf(over)).toBe(1);
    const beside = (g: GraphBuilder) => {
      const x = twice(g, input(g));
      g.output('y', g.add('Add', [x, g.add('Relu', [x])]));
    };
    expect(peakOf(beside)).toBe(3);
  });

  test('counts memory that is kept for the next value of its shape', () => {
    const peak = peakOf((g) => {
      const short = g.sum(twice(g, input(g)), [0]);
      const large = g.add('Expand', [short, g.integers([2 * SIZE])]);
      const shorter = g.sum(g.add('Mul', [large, g.scalar(2)]), [0]);
      g.output('y', twice(g, twice(g, g.add('Expand', [shorter, g.integers([SIZE])]))));
    });
    expect(peak).toBeCloseTo(5, 1);
  });
});
