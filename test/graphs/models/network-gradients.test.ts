import { describe, expect, test } from 'vitest';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { needBlockedLayout, offered } from '../blocked.js';
import { errorsOf, noise, runOnEach } from '../run.js';
import { expectAll } from './expect-all.js';
import { type Config, compareNetwork, feedsOf, GOLDEN_NETWORKS, networkOf } from './golden-networks.js';

describe.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('with %s forms', (_, forms) => {
  test.each(GOLDEN_NETWORKS)('the gradient of the whole network "%s" agrees with PyTorch', async (name) => {
    expectAll(await compareNetwork(name, nodeEngine, forms));
  });
});

describe('a network whose channels fill blocks', () => {
  const config: Config = {
    width: offered?.block ?? 16,
    levels: 2,
    skip: false,
    upsampling: 'nearest',
    batch: 1,
    tile: [16, 8, 8],
    whole: [8, 8, 8],
    boxes: [{ start: [1, 0, 2], size: [5, 8, 9] }],
  };

  test.for([
    ['without skips', {}],
    ['with skips', { skip: true }],
    ['with transposed convolutions', { upsampling: 'deconv' as const }],
  ] as [string, Partial<Config>][])(
    'has the same gradient in the blocked layout, in chunks or not: %s',
    async ([, change], context) => {
      const blocked = needBlockedLayout(context);
      const network = { ...config, ...change };
      const built = networkOf(network);
      const inputs = [5, 6, 7].map((seed) =>
        feedsOf(network, built, Int16Array.from(noise(16 * 8 * 8, seed, 1000))),
      );
      const expected = await runOnEach(built.graph, inputs);
      for (const chunk of [1_000_000, 200, 60]) {
        const got = await runOnEach(built.graph, inputs, fastForms, { ...blocked, chunk });
        // A value within rounding of zero may fall on the other side of a ReLU, which moves gradients: rarely, and little.
        const [, median, largest] = errorsOf(got, expected);
        expect(median, `chunks of ${chunk}`).toBeLessThan(1e-5);
        expect(largest, `chunks of ${chunk}`).toBeLessThan(0.05);
      }
    },
  );
});
