import { expect, test } from 'vitest';
import { type AgreedTraining, checkSameTraining } from '../../src/train/agreement.js';
import { ranksHere } from './ranks-here.js';

const TRAINING: AgreedTraining = {
  engine: { name: 'onnxruntime-node 1.30.0', provider: 'cpu' },
  dataHash: 'a',
  checkpoint: null,
  settings: { engine: 'node', steps: 4 },
};
const results = (other: Partial<AgreedTraining>) =>
  Promise.allSettled(
    ranksHere(2).map((ranks, i) => checkSameTraining(ranks, { ...TRAINING, ...(i === 1 && other) })),
  );

test('ranks that train the same may begin', async () => {
  expect(await results({})).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
});

test.each<[string, Partial<AgreedTraining>]>([
  [
    'engine in use: "onnxruntime-node 1.30.0, cpu" on rank 0, "onnxruntime-node 1.29.0, cpu" on rank 1',
    { engine: { name: 'onnxruntime-node 1.29.0', provider: 'cpu' } },
  ],
  ['hash of the data: "a" on rank 0, "b" on rank 1', { dataHash: 'b' }],
  ['steps: 4 on rank 0, 5 on rank 1', { settings: { engine: 'node', steps: 5 } }],
])('what differs is named on all of them: %s', async (message, other) => {
  for (const result of await results(other))
    expect(result).toMatchObject({ reason: { message: expect.stringContaining(message) } });
});
