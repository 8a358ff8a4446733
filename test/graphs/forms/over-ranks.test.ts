import { expect, test } from 'vitest';
import { fastForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { stagesOf, synchronised } from '../../../graphs/forms/over-ranks.js';
import { accumulateGraph } from '../../../graphs/programs/training.js';
import { resolveConfig } from '../../../src/config/pretraining.js';
import { proxyWorkload } from '../../../src/train/proxy.js';

const config = resolveConfig({
  preset: 'tiny',
  config: { whole: [16, 16, 8], network: { levels: 2, width: 2 } },
});
const { graph } = accumulateGraph(proxyWorkload(config, config.whole)(2));
const norms = graph.nodes.filter(({ operator }) => operator === 'BatchNorm').length;

test('three sums over ranks a normalisation, each after a stage whose outputs it takes', () => {
  const stages = stagesOf(lower(synchronised(graph, 2), { choose: fastForms }));
  expect(norms).toBeGreaterThan(5);
  // The last two of a normalisation's gradient are added up at once.
  expect(stages.filter(({ sums }) => sums.length > 0)).toHaveLength(3 * norms);
  expect(stages.flatMap(({ sums }) => sums)).toHaveLength(4 * norms);

  const known = new Set(graph.inputs.map(({ name }) => name));
  for (const { graph: part, sums } of stages) {
    expect(part.nodes.map(({ operator }) => operator)).not.toContain('SumOverRanks');
    expect(part.inputs.filter(({ name }) => !known.has(name))).toEqual([]);
    for (const { name } of part.outputs) known.add(name);
    expect(sums.filter(({ from }) => !known.has(from))).toEqual([]);
    for (const { to } of sums) known.add(to);
  }
  expect(graph.outputs.filter(({ name }) => !known.has(name))).toEqual([]);
});

test('what only the backward pass reads is made there: a mask is not kept beside the value that it tells', () => {
  const stages = stagesOf(lower(synchronised(graph, 2), { choose: fastForms }));
  const withMasks = stages.flatMap(({ graph: part }, i) =>
    part.nodes.some(({ operator }) => operator === 'Greater') ? [i] : [],
  );
  expect(Math.min(...withMasks)).toBeGreaterThanOrEqual(2 * norms - 1);
});
