import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openMetrics, readMetrics } from '../../src/runs/metrics.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
let count = 0;
const newPath = () => join(folder, `${count++}.jsonl`);

test('records come back in their order', () => {
  const path = newPath();
  const metrics = openMetrics(path, 0);
  metrics.append({ step: 1, loss: 0.1 });
  metrics.append({ step: 2, loss: null });
  metrics.close();
  expect(readMetrics(path)).toEqual([
    { step: 1, loss: 0.1 },
    { step: 2, loss: null },
  ]);
});

test('a run that was killed goes on as if it never had been', () => {
  const write = (metrics: ReturnType<typeof openMetrics>, from: number, to: number) => {
    for (let step = from; step <= to; step++) metrics.append({ step, loss: 1 / step });
  };
  const undisturbed = newPath();
  const whole = openMetrics(undisturbed, 0);
  write(whole, 1, 9);
  whole.close();

  const path = newPath();
  const killed = openMetrics(path, 0);
  write(killed, 1, 5);
  killed.sync();
  const checkpoint = killed.bytes();
  write(killed, 6, 7);
  killed.close();
  appendFileSync(path, '{"step":8,"lo');
  expect(readMetrics(path).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);

  const resumed = openMetrics(path, checkpoint);
  expect(resumed.bytes()).toBe(checkpoint);
  write(resumed, 6, 9);
  expect(resumed.bytes()).toBe(readFileSync(path).length);
  resumed.close();
  expect(readFileSync(path, 'utf8')).toBe(readFileSync(undisturbed, 'utf8'));
});

test('metrics that have lost what the checkpoint remembers are an error', () => {
  const path = newPath();
  writeFileSync(path, '{"step":1}\n');
  const error = errorOf(() => openMetrics(path, 12));
  expect(error).toMatchObject({
    kind: 'run',
    facts: { where: path, got: '11 bytes', expected: 'at least 12' },
  });
  expect(readFileSync(path, 'utf8')).toBe('{"step":1}\n');
  expect(errorOf(() => openMetrics(newPath(), 1))).toMatchObject({ kind: 'run' });
});

test('what cannot be read or written is an error that names the file', () => {
  const path = newPath();
  writeFileSync(path, '{"step":1}\nnonsense\n{"step":3}\n');
  expect(errorOf(() => readMetrics(path))).toMatchObject({
    kind: 'run',
    facts: { where: `${path}, line 2` },
  });
  expect(errorOf(() => readMetrics(newPath()))).toMatchObject({ kind: 'disk' });
  mkdirSync(join(folder, 'a-folder'));
  expect(errorOf(() => openMetrics(join(folder, 'a-folder'), 0))).toMatchObject({ kind: 'disk' });
});
