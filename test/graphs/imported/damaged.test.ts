import { expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import { GraphError } from '../../../graphs/onnx/types.js';
import { noise } from '../run.js';
import { importCases } from './golden.js';

/** The file with a few bytes changed, and sometimes cut off. */
function damaged(bytes: Uint8Array, seed: number): Uint8Array {
  const chances = [...noise(12, seed, 0.5, 0.5)];
  const chance = () => chances.pop()!;
  const changed = Uint8Array.from(bytes);
  for (let i = 0; i < 4; i++) changed[Math.floor(changed.length * chance())] = Math.floor(256 * chance());
  return chance() < 0.1 ? changed.subarray(0, Math.floor(changed.length * chance())) : changed;
}

test('whatever is wrong with a file is said, never a crash', () => {
  let refused = 0;
  for (const [i, { bytes, results }] of importCases.entries())
    for (let round = 0; round < 30; round++)
      try {
        importModel(damaged(bytes, 100 * i + round), { inputs: { x: results.get('x')!.shape } });
      } catch (error) {
        expect(error).toBeInstanceOf(GraphError);
        refused++;
      }
  expect(refused).toBeGreaterThan(100);
});
