import { expect, test } from 'vitest';
import { randomStream } from '../../src/random.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { divide } from '../../src/search/lists.js';

const [ROWS, DIMENSIONS, LISTS] = [1000, 8, 10];

test('each list lies around the mean direction of its rows, and a row is in the nearest one', async () => {
  const random = randomStream(1, 'rows');
  const values = Float32Array.from({ length: ROWS * DIMENSIONS }, () => random.normal());
  const rowOf = (of: Float32Array, i: number) => of.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS);
  for (let i = 0; i < ROWS; i++) {
    const row = rowOf(values, i);
    const length = Math.hypot(...row);
    row.forEach((value, k) => {
      row[k] = value / length;
    });
  }
  const { centres, listOf } = await divide({ dimensions: DIMENSIONS, values }, LISTS, nodeEngine, 1);
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).reduce((sum, value, k) => sum + value * b[k]!, 0);
  for (let list = 0; list < LISTS; list++) {
    const own = [...listOf.keys()].filter((i) => listOf[i] === list);
    const sum = Array.from({ length: DIMENSIONS }, (_, k) =>
      own.reduce((total, i) => total + rowOf(values, i)[k]!, 0),
    );
    // Centres are those of a sample, before the last division.
    expect(dot(rowOf(centres.values, list), sum) / Math.hypot(...sum)).toBeGreaterThan(0.97);
  }
  for (let i = 0; i < ROWS; i += 50) {
    const scores = Array.from({ length: LISTS }, (_, list) =>
      dot(rowOf(values, i), rowOf(centres.values, list)),
    );
    expect(listOf[i]).toBe(scores.indexOf(Math.max(...scores)));
  }
});
